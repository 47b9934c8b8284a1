#include <autograd/autograd.hpp>
#include <iostream>
#include <nn/nn.hpp>

int main() { std::cout << autograd::runtime_info() << '\n'; }
