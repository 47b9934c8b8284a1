// What a map does with SIMD lanes: the loops of a body over its operands, forward and backward.
#pragma once

#include "map_operand.hpp"
#include "map_plan.hpp"

namespace autograd::detail {

// Instantiated once for each body and its Inputs.
template <class T, class F, class In>
struct MapKernel : MapPlan<T, F, In> {
  using typename MapPlan<T, F, In>::Indices;
  using typename MapPlan<T, F, In>::Keeping;
  using MapPlan<T, F, In>::kOutputs, MapPlan<T, F, In>::kLanes, MapPlan<T, F, In>::kOperands;

  // The lane of an input from column c of the row that its operand's cursor is at.
  template <std::size_t kInput>
  [[gnu::always_inline]] static Batch<T> value(const Operand<T>* in, const RowCursor<const T*>* at,
                                               std::size_t c, std::size_t cols, std::size_t count) {
    constexpr InputOf kOf = In::of[kInput];
    const T* row = at[kOf.operand].row;
    if constexpr (In::blocks[kOf.operand] != 0)
      return load(row + kOf.block * cols + c, count);
    else
      return is_splat(in[kOf.operand].layout) ? Batch<T>(*row) : load(row + c, count);
  }

  // Puts the inputs of a mask into the stash, before the results of functions.
  template <std::size_t... kI>
  [[gnu::always_inline]] static void save(InputMask mask, T*& stash, std::index_sequence<kI...>,
                                          const std::array<Batch<T>, In::kCount>& x) {
    const auto one = [&](std::size_t i) {
      if (!(mask >> i & 1)) return;
      x[i].store_aligned(stash);
      stash += kLanes;
    };
    (one(kI), ...);
  }

  template <Stash kStash>
  [[gnu::flatten]] static void forward(const F& f, const Operand<T>* in, T* const* out, std::size_t rows,
                                       std::size_t cols, T* stash, const Keeping& keeping) {
    RowCursor<const T*> at[kOperands];
    for (std::size_t i = 0; i < kOperands; ++i) at[i].begin(in[i].data, in[i], rows, cols);
    alignas(64) T not_kept[kLanes];  // where results go that are all kept as those of the body
    StashCursor<T> cursor{stash ? stash : not_kept};
    for (std::size_t r = 0; r < rows; ++r) {
      if (r)
        for (auto& each : at) each.next();
      for (std::size_t c = 0; c < cols; c += kLanes) {
        const std::size_t count = cols - c;
        [&]<std::size_t... kI, std::size_t... kO>(std::index_sequence<kI...>, std::index_sequence<kO...>) {
          const std::array<Batch<T>, In::kCount> x{value<kI>(in, at, c, cols, count)...};
          if constexpr (kStash == Stash::store)
            if (keeping.saved) save(keeping.saved, cursor.next, Indices{}, x);
          cursor.shared = keeping.shared;
          const auto y = as_tuple(f(Lane<T, kStash>{x[kI], &cursor}...));
          (store(out[kO] + r * cols + c, std::get<kO>(y).value, count), ...);
        }
        (Indices{}, std::make_index_sequence<kOutputs>{});
      }
    }
  }

  // Adds a lane of the gradient of an input to what has arrived at its operand, or writes it over garbage.
  template <std::size_t kInput>
  [[gnu::always_inline]] static void deliver_lane(const Operand<T>* in, const Target<T>* target,
                                                  const RowCursor<T*>* to, T* sums, std::size_t c,
                                                  std::size_t cols, std::size_t count, Batch<T> gradient) {
    constexpr InputOf kOf = In::of[kInput];
    if (In::blocks[kOf.operand] == 0 && is_splat(in[kOf.operand].layout)) {
      alignas(64) T parts[kLanes];
      gradient.store_aligned(parts);
      for (std::size_t i = 0; i < std::min(count, kLanes); ++i) sums[kOf.operand] += parts[i];
      return;
    }
    T* address = to[kOf.operand].row + kOf.block * cols + c;
    if (target[kOf.operand].accumulate) gradient = gradient + load<T>(address, count);
    store(address, gradient, count);
  }

  // The lane of an input that the rule needs; any other is not read, it may be gone.
  template <std::size_t kInput>
  [[gnu::always_inline]] static Batch<T> needed_value(const Operand<T>* in, const RowCursor<const T*>* at,
                                                      std::size_t c, std::size_t cols, std::size_t count,
                                                      const Keeping& keeping, const T* saved) {
    if (keeping.saved >> kInput & 1)
      return Batch<T>::load_aligned(saved +
                                    std::popcount(keeping.saved & ((InputMask{1} << kInput) - 1)) * kLanes);
    if (!keeping.reads(In::of[kInput].operand)) return Batch<T>(T(0));
    return value<kInput>(in, at, c, cols, count);
  }

  template <bool kReplay>
  [[gnu::flatten]] static void backward(const F& f, const Operand<T>* in, const T* const* gradient,
                                        const T* const* result, const Target<T>* target, std::size_t rows,
                                        std::size_t cols, T* stash, const Keeping& keeping) {
    RowCursor<const T*> at[kOperands];
    RowCursor<T*> to[kOperands];
    start(in, target, rows, cols, at, to);
    const std::size_t saved = keeping.saved_count() * kLanes, shared = keeping.shared_count();
    alignas(64) T shared_lanes[kOutputs * kLanes];
    StashCursor<T> cursor{stash};
    for (std::size_t r = 0; r < rows; ++r) {
      if (r) next_row(target, at, to);
      T sums[kOperands] = {};  // of the row, for splats
      for (std::size_t c = 0; c < cols; c += kLanes) {
        const std::size_t count = cols - c;
        [&]<std::size_t... kI, std::size_t... kO>(std::index_sequence<kI...>, std::index_sequence<kO...>) {
          const std::array<Batch<T>, In::kCount> x{
              needed_value<kI>(in, at, c, cols, count, keeping, cursor.next)...};
          if constexpr (kReplay) {
            for (std::size_t k = 0; k < shared; ++k)
              load(result[keeping.shared_as[k]] + r * cols + c, count)
                  .store_aligned(shared_lanes + k * kLanes);
            cursor = {cursor.next + saved, keeping.shared, shared_lanes};
          }
          const auto y = as_tuple(f(seed<kI, kReplay, T>(x[kI], &cursor)...));
          const Batch<T> g[] = {gradient[kO] ? load(gradient[kO] + r * cols + c, count) : Batch<T>(T(0))...};
          const auto deliver = [&]<std::size_t kInput>() {
            if (!target[In::of[kInput].operand].data) return;
            Batch<T> sum(T(0));
            bool any = false;
            const auto term = [&]<std::size_t kOutput>() {
              using Y = std::tuple_element_t<kOutput, std::remove_const_t<decltype(y)>>;
              if constexpr (Y::live >> kInput & 1) {
                const Batch<T> product = g[kOutput] * std::get<kOutput>(y).template partial_of<kInput>();
                sum = any ? Batch<T>(sum + product) : product;
                any = true;
              }
            };
            (term.template operator()<kO>(), ...);
            deliver_lane<kInput>(in, target, to, sums, c, cols, count, sum);
          };
          (deliver.template operator()<kI>(), ...);
        }
        (Indices{}, std::make_index_sequence<kOutputs>{});
      }
      end_row(in, target, sums, to);
    }
  }

  // The same of a single function, from its result.
  [[gnu::flatten]] static void backward_from_result(const Operand<T>* in, const T* gradient, const T* result,
                                                    const Target<T>* target, std::size_t rows,
                                                    std::size_t cols, const Keeping& keeping) {
    RowCursor<const T*> at[kOperands];
    RowCursor<T*> to[kOperands];
    start(in, target, rows, cols, at, to);
    for (std::size_t r = 0; r < rows; ++r) {
      if (r) next_row(target, at, to);
      T sums[kOperands] = {};
      for (std::size_t c = 0; c < cols; c += kLanes) {
        const std::size_t count = cols - c;
        const Batch<T> g = load(gradient + r * cols + c, count), y = load(result + r * cols + c, count);
        [&]<std::size_t... kI>(std::index_sequence<kI...>) {
          const std::array<Batch<T>, In::kCount> x{
              needed_value<kI>(in, at, c, cols, count, keeping, nullptr)...};
          const auto deliver = [&]<std::size_t kInput>() {
            if (!target[In::of[kInput].operand].data) return;
            const auto slope = F::template slope<kInput>(x[kI]..., y);
            Batch<T> sum(T(0));
            if constexpr (!std::is_same_v<std::remove_const_t<decltype(slope)>, Zero>) sum = chain(slope, g);
            deliver_lane<kInput>(in, target, to, sums, c, cols, count, sum);
          };
          (deliver.template operator()<kI>(), ...);
        }
        (Indices{});
      }
      end_row(in, target, sums, to);
    }
  }

 private:
  [[gnu::always_inline]] static void start(const Operand<T>* in, const Target<T>* target, std::size_t rows,
                                           std::size_t cols, RowCursor<const T*>* at, RowCursor<T*>* to) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      at[i].begin(in[i].data, in[i], rows, cols);
      to[i].begin(target[i].data, in[i], rows, cols);
    }
  }

  [[gnu::always_inline]] static void next_row(const Target<T>* target, RowCursor<const T*>* at,
                                              RowCursor<T*>* to) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      at[i].next();
      if (target[i].data) to[i].next();
    }
  }

  [[gnu::always_inline]] static void end_row(const Operand<T>* in, const Target<T>* target, const T* sums,
                                             RowCursor<T*>* to) {
    for (std::size_t i = 0; i < kOperands; ++i)
      if (In::blocks[i] == 0 && is_splat(in[i].layout) && target[i].data) *to[i].row += sums[i];
  }
};

}  // namespace autograd::detail
