//! Transformer layers in 32-bit floats: products with a weight matrix, attention, GELU, layer norm.
//!
//! Large products go to the `gemm` crate; a few rows at a time are multiplied here, with weights that are read once and
//! may be stored in 16 bits.

use gemm::Parallelism;
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Up to so many rows, reading the weights is what takes time.
const FEW_ROWS: usize = 8;
/// A task multiplies at least this many weights.
const TASK_WEIGHTS: usize = 32 * 1024;
/// Weight rows of 16 bits that are unpacked at a time, for products with many rows.
const UNPACKED_ROWS: usize = 192;
/// Queries that are attended for together.
const QUERIES: usize = 96;
/// Elements that are worth a task of their own.
const TASK_ELEMENTS: usize = 16 * 1024;

/// A weight matrix `[rows, cols]`.
#[derive(Debug)]
pub(crate) struct DenseMatrix {
    cols: usize,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    Full(Vec<f32>),
    Half(Vec<f16>),
}

impl DenseMatrix {
    /// A matrix for products with many rows.
    pub(crate) fn new(weights: Vec<f32>, cols: usize) -> Self {
        assert!(cols > 0 && weights.len().is_multiple_of(cols), "whole rows");
        Self { cols, weights: Weights::Full(weights) }
    }

    /// A matrix for products with a few rows: in 16 bits where nothing is lost by it.
    pub(crate) fn compact(weights: Vec<f32>, cols: usize) -> Self {
        assert!(cols > 0 && weights.len().is_multiple_of(cols), "whole rows");
        let mut halves = vec![f16::ZERO; weights.len()];
        halves.convert_from_f32_slice(&weights);
        let lossless = halves.iter().zip(&weights).all(|(half, full)| half.to_f32() == *full);
        if lossless { Self { cols, weights: Weights::Half(halves) } } else { Self::new(weights, cols) }
    }

    pub(crate) fn rows(&self) -> usize {
        let len = match &self.weights {
            Weights::Full(weights) => weights.len(),
            Weights::Half(weights) => weights.len(),
        };
        len / self.cols
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// Writes row `row` as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) {
        let span = row * self.cols..(row + 1) * self.cols;
        match &self.weights {
            Weights::Full(weights) => out.copy_from_slice(&weights[span]),
            Weights::Half(weights) => lanes::unpack(&weights[span], out),
        }
    }

    /// Adds `x`, `[n, cols]`, times the matrix transposed to `out`, `[n, rows]`.
    pub(crate) fn multiply_add(&self, x: View<'_>, out: &mut [f32]) {
        let rows = self.rows();
        assert_eq!((x.cols, out.len()), (self.cols, x.rows * rows), "whole rows");
        match &self.weights {
            Weights::Full(weights) if x.rows > FEW_ROWS => {
                let weights = View::new(weights, self.cols);
                multiply(x, weights.transposed(), out, rows, true, Parallelism::Rayon(0));
            }
            Weights::Half(weights) if x.rows > FEW_ROWS => self.many_rows_of_halves(x, weights, out),
            _ => self.few_rows(x, out, rows),
        }
    }

    /// Unpacks some weights at a time, and multiplies all rows of `x` with them.
    fn many_rows_of_halves(&self, x: View<'_>, weights: &[f16], out: &mut [f32]) {
        let rows = self.rows();
        let panels = weights.par_chunks(UNPACKED_ROWS * self.cols);
        let products: Vec<Vec<f32>> = panels
            .map(|panel| {
                let mut unpacked = vec![0.0f32; panel.len()];
                lanes::unpack(panel, &mut unpacked);
                let panel = View::new(&unpacked, self.cols).transposed();
                let mut products = vec![0.0f32; x.rows * panel.cols];
                multiply(x, panel, &mut products, panel.cols, false, Parallelism::None);
                products
            })
            .collect();
        for (row, out) in out.chunks_exact_mut(rows).enumerate() {
            for (products, out) in products.iter().zip(out.chunks_mut(UNPACKED_ROWS)) {
                let products = &products[row * out.len()..][..out.len()];
                out.iter_mut().zip(products).for_each(|(out, product)| *out += product);
            }
        }
    }

    /// Each weight is read once, for all rows of `x`.
    fn few_rows(&self, x: View<'_>, out: &mut [f32], rows: usize) {
        let count = x.rows;
        let task_rows = (TASK_WEIGHTS / (self.cols * count.min(4))).max(1);
        let mut products = vec![0.0f32; rows * count];
        products.par_chunks_mut(task_rows * count).enumerate().for_each(|(task, products)| {
            let mut unpacked = vec![0.0f32; self.cols];
            for (at, products) in products.chunks_exact_mut(count).enumerate() {
                let row = task * task_rows + at;
                let span = row * self.cols..(row + 1) * self.cols;
                let weights = match &self.weights {
                    Weights::Full(weights) => &weights[span],
                    Weights::Half(weights) if count == 1 => {
                        products[0] = lanes::dot_halves(x.row(0), &weights[span]);
                        continue;
                    }
                    Weights::Half(weights) => {
                        lanes::unpack(&weights[span], &mut unpacked);
                        &unpacked
                    }
                };
                for (row, product) in products.iter_mut().enumerate() {
                    *product = lanes::dot(x.row(row), weights);
                }
            }
        });
        for (row, products) in products.chunks_exact(count).enumerate() {
            for (at, product) in products.iter().enumerate() {
                out[at * rows + row] += product;
            }
        }
    }
}

/// A matrix and what is added to its products: a layer of a network.
#[derive(Debug)]
pub(crate) struct DenseLayer {
    pub(crate) matrix: DenseMatrix,
    /// One for each row; none adds nothing.
    pub(crate) bias: Vec<f32>,
}

impl DenseLayer {
    /// The layer's output for each row of `x`.
    pub(crate) fn forward(&self, x: View<'_>) -> Vec<f32> {
        let rows = self.matrix.rows();
        let mut out = vec![0.0; x.rows * rows];
        if !self.bias.is_empty() {
            out.chunks_exact_mut(rows).for_each(|out| out.copy_from_slice(&self.bias));
        }
        self.matrix.multiply_add(x, &mut out);
        out
    }

    /// Adds the layer's output for each row of `x` to `out`.
    pub(crate) fn add_to(&self, x: View<'_>, out: &mut [f32]) {
        if !self.bias.is_empty() {
            for out in out.chunks_exact_mut(self.bias.len()) {
                out.iter_mut().zip(&self.bias).for_each(|(out, bias)| *out += bias);
            }
        }
        self.matrix.multiply_add(x, out);
    }
}

/// Rows of a matrix that lie `step` apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<'a> View<'a> {
    /// A whole matrix with `cols` columns.
    pub(crate) fn new(values: &'a [f32], cols: usize) -> Self {
        Self::part(values, values.len() / cols, cols, cols)
    }

    /// The first `cols` of each run of `step` values.
    pub(crate) fn part(values: &'a [f32], rows: usize, cols: usize, step: usize) -> Self {
        assert!(rows == 0 || (rows - 1) * step + cols <= values.len(), "all rows lie within the values");
        Self { values, rows, cols, row_step: step, col_step: 1 }
    }

    fn transposed(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_step: self.col_step, col_step: self.row_step, ..self }
    }

    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.row_step..][..self.cols]
    }
}

/// `a` times `b` into the rows of `out`, which lie `step` apart; what is there is added to where `adds`.
#[allow(unsafe_code, reason = "the crate `gemm` takes pointers")]
fn multiply(a: View<'_>, b: View<'_>, out: &mut [f32], step: usize, adds: bool, parallelism: Parallelism) {
    assert_eq!(a.cols, b.rows, "as many columns as rows");
    if a.rows == 0 || b.cols == 0 {
        return;
    }
    assert!(b.cols <= step && (a.rows - 1) * step + b.cols <= out.len(), "the product lies within what is written");
    // SAFETY: both factors lie within their slices, as `View` was made, and so does the product; no two of its elements
    // share a place.
    unsafe {
        gemm::gemm(
            a.rows,
            b.cols,
            a.cols,
            out.as_mut_ptr(),
            1,
            step as isize,
            adds,
            a.values.as_ptr(),
            a.col_step as isize,
            a.row_step as isize,
            b.values.as_ptr(),
            b.col_step as isize,
            b.row_step as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Where the rows of attention lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention<'a> {
    /// `[n, width]`.
    pub(crate) queries: View<'a>,
    /// `[positions, width]`.
    pub(crate) keys: View<'a>,
    /// `[positions, width]`.
    pub(crate) values: View<'a>,
    pub(crate) heads: usize,
    /// Query `i` sees the keys before `n - i - 1` from the end, and that one.
    pub(crate) causal: bool,
}

impl Attention<'_> {
    /// Each query's weighted mean of the values, `[n, width]`.
    pub(crate) fn attend(&self) -> Vec<f32> {
        let (count, width) = (self.queries.rows, self.queries.cols);
        let (positions, len) = (self.keys.rows, width / self.heads);
        let blocks = count.div_ceil(QUERIES);
        let tasks = (0..blocks * self.heads).into_par_iter().with_min_len((TASK_ELEMENTS / (count * positions)).max(1));
        let done: Vec<Vec<f32>> = tasks.map(|task| self.block(task / self.heads, task % self.heads)).collect();
        let mut out = vec![0.0; count * width];
        for (task, done) in done.iter().enumerate() {
            let first = task / self.heads * QUERIES;
            for (row, done) in (first..).zip(done.chunks_exact(len)) {
                out[row * width + task % self.heads * len..][..len].copy_from_slice(done);
            }
        }
        out
    }

    /// One head of some queries.
    fn block(&self, block: usize, head: usize) -> Vec<f32> {
        let len = self.queries.cols / self.heads;
        let positions = self.keys.rows;
        let first = block * QUERIES;
        let count = QUERIES.min(self.queries.rows - first);
        let queries = head_of(self.queries, first, count, head, len);
        let keys = head_of(self.keys, 0, positions, head, len);
        let values = head_of(self.values, 0, positions, head, len);
        let mut scores = vec![0.0f32; count * positions];
        if count > FEW_ROWS {
            multiply(queries, keys.transposed(), &mut scores, positions, false, Parallelism::None);
        } else {
            for (row, scores) in scores.chunks_exact_mut(positions).enumerate() {
                lanes::dot_rows(queries.row(row), keys, scores);
            }
        }
        let scale = 1.0 / (len as f32).sqrt();
        for (row, scores) in scores.chunks_exact_mut(positions).enumerate() {
            let seen = if self.causal { positions + 1 + first + row - self.queries.rows } else { positions };
            let (seen, unseen) = scores.split_at_mut(seen);
            lanes::softmax(seen, scale);
            unseen.fill(0.0);
        }
        let mut out = vec![0.0f32; count * len];
        if count > FEW_ROWS {
            multiply(View::new(&scores, positions), values, &mut out, len, false, Parallelism::None);
        } else {
            for (out, scores) in out.chunks_exact_mut(len).zip(scores.chunks_exact(positions)) {
                lanes::weigh_rows(scores, values, out);
            }
        }
        out
    }
}

fn head_of(view: View<'_>, first: usize, rows: usize, head: usize, len: usize) -> View<'_> {
    View::part(&view.values[first * view.row_step + head * len..], rows, len, view.row_step)
}

/// GELU with the error function.
pub(crate) fn gelu(values: &mut [f32]) {
    values.par_chunks_mut(TASK_ELEMENTS).for_each(lanes::gelu);
}

/// Layer norm of each row: mean 0 and variance 1, then `gamma` and `beta`.
pub(crate) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let width = gamma.len();
    let mut out = vec![0.0; x.len()];
    let rows = (TASK_ELEMENTS / width).max(1) * width;
    out.par_chunks_mut(rows).zip(x.par_chunks(rows)).for_each(|(out, x)| {
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            lanes::layer_norm(x, gamma, beta, epsilon, out);
        }
    });
    out
}

/// The inner loops, with the widest vectors that the processor has.
mod lanes {
    use super::View;
    use half::f16;
    use half::slice::HalfFloatSliceExt;

    /// The sum of products.
    pub(super) fn dot_halves(a: &[f32], b: &[f16]) -> f32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(sum) = x86::dot_halves(a, b) {
            return sum;
        }
        let mut unpacked = [0.0f32; 64];
        let mut total = 0.0;
        for (a, b) in a.chunks(64).zip(b.chunks(64)) {
            unpack(b, &mut unpacked[..b.len()]);
            total += portable::dot(a, &unpacked[..a.len()]);
        }
        total
    }

    /// 16 bits to 32.
    pub(super) fn unpack(halves: &[f16], out: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if x86::unpack(halves, out) {
            return;
        }
        halves.convert_to_f32_slice(out);
    }

    #[cfg(target_arch = "x86_64")]
    mod x86 {
        //! 16-bit floats with F16C.
        #![allow(unsafe_code, reason = "SIMD intrinsics read and write through pointers")]

        use half::f16;
        use std::arch::x86_64::*;

        const WIDTH: usize = 8;

        fn is_here() -> bool {
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
        }

        /// `None` where the processor lacks the features or the rows are no multiple of 32.
        pub(super) fn dot_halves(a: &[f32], b: &[f16]) -> Option<f32> {
            let fits = a.len() == b.len() && a.len().is_multiple_of(4 * WIDTH);
            // SAFETY: the features are there; both slices are as long as each other.
            (fits && is_here()).then(|| unsafe { dot(a, b) })
        }

        /// # Safety
        /// The processor has AVX2, FMA and F16C; both slices have the same length, a multiple of 32.
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn dot(a: &[f32], b: &[f16]) -> f32 {
            let mut sums = [_mm256_setzero_ps(); 4];
            for first in (0..a.len()).step_by(4 * WIDTH) {
                for (at, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: four times eight values from `first` on are within both slices.
                    unsafe {
                        let place = first + at * WIDTH;
                        let halves = _mm_loadu_si128(b.as_ptr().add(place).cast());
                        *sum = _mm256_fmadd_ps(_mm256_loadu_ps(a.as_ptr().add(place)), _mm256_cvtph_ps(halves), *sum);
                    }
                }
            }
            let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
            let mut lanes = [0.0f32; WIDTH];
            // SAFETY: eight floats have room for eight.
            unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), sum) };
            lanes.iter().sum()
        }

        /// False where the processor lacks the features or the length is no multiple of 8.
        pub(super) fn unpack(halves: &[f16], out: &mut [f32]) -> bool {
            let fits = halves.len() == out.len() && out.len().is_multiple_of(WIDTH) && is_here();
            if fits {
                // SAFETY: the features are there; both slices are as long as each other.
                unsafe { unpack_all(halves, out) };
            }
            fits
        }

        /// # Safety
        /// The processor has AVX2 and F16C; both slices have the same length, a multiple of 8.
        #[target_feature(enable = "avx2,f16c")]
        unsafe fn unpack_all(halves: &[f16], out: &mut [f32]) {
            for at in (0..out.len()).step_by(WIDTH) {
                // SAFETY: eight values from `at` on are within both slices.
                unsafe {
                    let halves = _mm_loadu_si128(halves.as_ptr().add(at).cast());
                    _mm256_storeu_ps(out.as_mut_ptr().add(at), _mm256_cvtph_ps(halves));
                }
            }
        }
    }

    /// Makes a function that runs the portable code of the same name, compiled for AVX2 where that is there.
    macro_rules! widest {
        ($(#[$doc:meta] $name:ident($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
            $(
                #[$doc]
                pub(super) fn $name($($arg: $kind),*) $(-> $out)? {
                    #[cfg(target_arch = "x86_64")]
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        // SAFETY: the processor has the features.
                        #[allow(unsafe_code, reason = "the features were looked for")]
                        return unsafe { avx2::$name($($arg),*) };
                    }
                    portable::$name($($arg),*)
                }
            )*
            #[cfg(target_arch = "x86_64")]
            mod avx2 {
                use super::{View, portable};
                $(
                    #[target_feature(enable = "avx2,fma")]
                    pub(super) fn $name($($arg: $kind),*) $(-> $out)? {
                        portable::$name($($arg),*)
                    }
                )*
            }
        };
    }

    widest! {
        /// The sum of products.
        dot(a: &[f32], b: &[f32]) -> f32;
        /// The product of one row with each of others.
        dot_rows(row: &[f32], others: View<'_>, out: &mut [f32]);
        /// The sum of rows, each times its weight.
        weigh_rows(weights: &[f32], rows: View<'_>, out: &mut [f32]);
        /// Weights that sum to one, from scores times `scale`.
        softmax(scores: &mut [f32], scale: f32);
        /// GELU with the error function.
        gelu(values: &mut [f32]);
        /// Layer norm of one row.
        layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, out: &mut [f32]);
    }

    mod portable {
        //! Plain code in a form that compilers turn into vectors; a product and a sum are rounded each.

        use super::View;

        const LANES: usize = 32;

        #[inline(always)]
        pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
            let (a, a_rest) = a.as_chunks::<LANES>();
            let (b, b_rest) = b.as_chunks::<LANES>();
            let mut lanes = [0.0f32; LANES];
            for (a, b) in a.iter().zip(b) {
                for at in 0..LANES {
                    lanes[at] += a[at] * b[at];
                }
            }
            sum(&lanes) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
        }

        #[inline(always)]
        fn sum(lanes: &[f32; LANES]) -> f32 {
            let mut eight = [0.0f32; 8];
            for (at, lane) in lanes.iter().enumerate() {
                eight[at % 8] += lane;
            }
            eight.iter().sum()
        }

        #[inline(always)]
        pub(super) fn dot_rows(row: &[f32], others: View<'_>, out: &mut [f32]) {
            for (at, out) in out.iter_mut().enumerate() {
                *out = dot(row, others.row(at));
            }
        }

        #[inline(always)]
        pub(super) fn weigh_rows(weights: &[f32], rows: View<'_>, out: &mut [f32]) {
            out.fill(0.0);
            for (at, weight) in weights.iter().enumerate() {
                for (out, value) in out.iter_mut().zip(rows.row(at)) {
                    *out += weight * value;
                }
            }
        }

        #[inline(always)]
        pub(super) fn softmax(scores: &mut [f32], scale: f32) {
            let (chunks, rest) = scores.as_chunks::<LANES>();
            let mut most = [f32::NEG_INFINITY; LANES];
            for chunk in chunks {
                for at in 0..LANES {
                    most[at] = if chunk[at] > most[at] { chunk[at] } else { most[at] };
                }
            }
            let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
            let (chunks, rest) = scores.as_chunks_mut::<LANES>();
            let mut totals = [0.0f32; LANES];
            for chunk in chunks {
                for at in 0..LANES {
                    chunk[at] = exp((chunk[at] - most) * scale);
                    totals[at] += chunk[at];
                }
            }
            for score in rest.iter_mut() {
                *score = exp((*score - most) * scale);
            }
            let share = 1.0 / (sum(&totals) + rest.iter().sum::<f32>());
            scores.iter_mut().for_each(|score| *score *= share);
        }

        #[inline(always)]
        pub(super) fn gelu(values: &mut [f32]) {
            for value in values {
                *value *= 0.5 * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
            }
        }

        #[inline(always)]
        pub(super) fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32, out: &mut [f32]) {
            let width = x.len() as f32;
            let (chunks, rest) = x.as_chunks::<LANES>();
            let mut totals = [0.0f32; LANES];
            for chunk in chunks {
                for at in 0..LANES {
                    totals[at] += chunk[at];
                }
            }
            let mean = (sum(&totals) + rest.iter().sum::<f32>()) / width;
            let mut totals = [0.0f32; LANES];
            for chunk in chunks {
                for at in 0..LANES {
                    totals[at] += (chunk[at] - mean) * (chunk[at] - mean);
                }
            }
            let variance = (sum(&totals) + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>()) / width;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for (((out, x), gamma), beta) in out.iter_mut().zip(x).zip(gamma).zip(beta) {
                *out = (x - mean) * scale * gamma + beta;
            }
        }

        /// The error function to 2e-7: Abramowitz and Stegun (1964), 7.1.26.
        #[inline(always)]
        pub(super) fn erf(x: f32) -> f32 {
            let size = x.abs();
            let t = 1.0 / (1.0 + 0.327_591_1 * size);
            let series = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_7) * t - 0.284_496_74) * t + 0.254_829_6) * t;
            (1.0 - series * exp(-size * size)).copysign(x)
        }

        /// The exponential function of what is not over 88, to 2e-7 of it; 0 under -87.
        ///
        /// `2^n e^r` with a whole `n` and `r` within half of `ln 2`, in the manner of the Cephes library.
        #[inline(always)]
        pub(super) fn exp(x: f32) -> f32 {
            const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: what is added to it is rounded to whole numbers
            let bounded = if x > -87.0 { x } else { -87.0 };
            let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
            let n = shifted - ROUND;
            let r = (bounded - n * 0.693_359_4) + n * 2.121_944_4e-4;
            let mut series = 1.987_569_1e-4f32;
            for factor in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
                series = series * r + factor;
            }
            let fraction = series * r * r + r + 1.0;
            let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
            let value = fraction * power;
            if x > -87.0 { value } else { 0.0 }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::portable::{erf, exp};

        #[test]
        fn the_exponential_and_the_error_function_are_exact_to_seven_digits() {
            for step in -8_700..=8_800 {
                let x = step as f32 * 0.01;
                let exact = f64::from(x).exp();
                assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7 || step <= -8_700, "{x}: {}", exp(x));
            }
            assert_eq!((exp(-100.0), exp(f32::NEG_INFINITY), exp(0.0)), (0.0, 0.0, 1.0));
            for (x, exact) in
                [(0.0, 0.0), (0.1, 0.112_462_916), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (3.0, 0.999_977_9)]
            {
                assert!((erf(x) - exact).abs() < 3e-7 && (erf(-x) + exact).abs() < 3e-7, "{x}: {}", erf(x));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|at| (((at * 7919 + seed * 104_729) % 2_003) as f32 - 1_001.0) / 1_001.0).collect()
    }

    fn near(ours: &[f32], exact: &[f32], most: f32) {
        assert_eq!(ours.len(), exact.len());
        for (at, (ours, exact)) in ours.iter().zip(exact).enumerate() {
            assert!((ours - exact).abs() <= most * (1.0 + exact.abs()), "at {at}: {ours}, not {exact}");
        }
    }

    #[test]
    fn products_are_those_of_plain_sums_however_many_rows_there_are() {
        for (rows, cols) in [(1, 1), (5, 7), (129, 65), (48, 512)] {
            // Sixteenths are exact in 16 bits.
            let weights: Vec<f32> = values(rows * cols, 1).iter().map(|w| (w * 16.0).round() / 16.0).collect();
            for count in [1, 3, FEW_ROWS, FEW_ROWS + 1, 33] {
                let (x, before) = (values(count * cols, 2), values(count * rows, 3));
                let exact: Vec<f32> = (0..count * rows)
                    .map(|at| {
                        let (x, weights) = (&x[at / rows * cols..][..cols], &weights[at % rows * cols..][..cols]);
                        before[at]
                            + x.iter().zip(weights).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
                    })
                    .collect();
                for matrix in [DenseMatrix::new(weights.clone(), cols), DenseMatrix::compact(weights.clone(), cols)] {
                    let mut out = before.clone();
                    matrix.multiply_add(View::new(&x, cols), &mut out);
                    near(&out, &exact, 1e-4);
                }
            }
        }
        let third = vec![1.0 / 3.0; 4];
        let mut row = [0.0; 4];
        DenseMatrix::compact(third.clone(), 4).row(0, &mut row);
        assert_eq!(row[..], third, "what 16 bits cannot hold stays in 32");
    }

    #[test]
    fn attention_is_a_mean_weighted_by_softmax() {
        let (heads, len) = (3, 8);
        let width = heads * len;
        for (count, positions, causal) in
            [(1, 1, false), (1, 50, false), (5, 40, true), (100, 130, false), (60, 60, true)]
        {
            let (q, kv) = (values(count * width, 1), values(positions * 2 * width, 2));
            let ours = Attention {
                queries: View::new(&q, width),
                keys: View::part(&kv, positions, width, 2 * width),
                values: View::part(&kv[width..], positions, width, 2 * width),
                heads,
                causal,
            }
            .attend();
            let mut exact = vec![0.0; count * width];
            for (row, head) in (0..count).flat_map(|row| (0..heads).map(move |head| (row, head))) {
                let seen = if causal { positions - count + row + 1 } else { positions };
                let score = |at: usize| -> f64 {
                    let dot =
                        |i: usize| f64::from(q[row * width + head * len + i] * kv[at * 2 * width + head * len + i]);
                    ((0..len).map(dot).sum::<f64>() / (len as f64).sqrt()).exp()
                };
                let total: f64 = (0..seen).map(score).sum();
                for i in 0..len {
                    let value = |at: usize| score(at) * f64::from(kv[at * 2 * width + width + head * len + i]);
                    exact[row * width + head * len + i] = ((0..seen).map(value).sum::<f64>() / total) as f32;
                }
            }
            near(&ours, &exact, 1e-5);
        }
    }

    #[test]
    fn gelu_and_layer_norm_are_theirs() {
        let mut x = vec![-3.0, -1.0, 0.0, 0.5, 2.0];
        gelu(&mut x);
        near(&x, &[-0.004_049_694, -0.158_655_25, 0.0, 0.345_731_23, 1.954_499_7], 1e-6);
        let normed =
            layer_norm(&[1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 2.0, 2.0], &[1.0, 1.0, 1.0, 2.0], &[0.0, 0.0, 0.0, 1.0], 0.0);
        near(&normed, &[-1.341_640_8, -0.447_213_6, 0.447_213_6, 3.683_281_6, -1.0, -1.0, 1.0, 3.0], 1e-5);
    }
}
