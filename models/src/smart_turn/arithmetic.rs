//! The arithmetic that the weights were made for: 8-bit activations, each tensor with one scale and zero point.
//!
//! The network is sensitive: one activation rounded the other way moves the result by some per cent, and plain
//! floats decide otherwise in one case of six. So each operation rounds as ONNX Runtime's does, in which the weights
//! were measured: its `QuantizeLinear`, `QLinearMatMul`, `QLinearSoftmax`, `LayerNormalization` and `Erf`.

use crate::kernels::bytes::ByteMatrix;

/// Added to a small number, this leaves its nearest integer (ties to even) in the low bits; quicker than a rounding
/// that is a call on processors of the first x86-64 kind.
const TO_INTEGER: f32 = 12_582_912.0;
const NORM_EPSILON: f32 = 1e-5;

/// How a tensor is held in bytes: `value = (byte - zero) * scale`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounding {
    pub(super) scale: f32,
    pub(super) zero: i32,
}

impl Rounding {
    /// The nearest byte.
    pub(super) fn byte(&self, value: f32) -> u8 {
        self.byte_of_steps(value / self.scale)
    }

    /// The nearest byte of a value in units of the scale.
    pub(super) fn byte_of_steps(&self, steps: f32) -> u8 {
        let within = steps.clamp(-self.zero as f32, (255 - self.zero) as f32);
        let integer = (within + TO_INTEGER).to_bits() as i32 - TO_INTEGER.to_bits() as i32;
        (integer + self.zero) as u8
    }

    /// The value of a byte.
    pub(super) fn value(&self, byte: u8) -> f32 {
        (i32::from(byte) - self.zero) as f32 * self.scale
    }
}

/// A function of one byte, for each column its own: all 256 results.
pub(super) struct Table(Vec<[u8; 256]>);

impl Table {
    /// `of(column, byte)` for `columns` columns.
    pub(super) fn new(columns: usize, of: impl Fn(usize, u8) -> u8) -> Self {
        Self((0..columns).map(|column| std::array::from_fn(|byte| of(column, byte as u8))).collect())
    }

    /// Puts the results in place of the bytes, which are rows of one byte a column.
    pub(super) fn apply(&self, rows: &mut [u8]) {
        for row in rows.chunks_exact_mut(self.0.len()) {
            for (byte, table) in row.iter_mut().zip(&self.0) {
                *byte = table[usize::from(*byte)];
            }
        }
    }
}

/// A linear layer from bytes to bytes; a convolution too, whose rows of activations overlap.
pub(super) struct Linear {
    matrix: ByteMatrix,
    /// Added to the integer products: the bias, and what the input's zero point takes away.
    offsets: Vec<i32>,
    /// Steps of the output for one of the integer products.
    factors: Vec<f32>,
    pub(super) out: Rounding,
}

impl Linear {
    /// `scales` belong to the matrix's rows; `bias` is in integer products.
    pub(super) fn new(matrix: ByteMatrix, scales: &[f32], bias: &[i32], input: Rounding, out: Rounding) -> Self {
        let offsets = matrix.sums().iter().zip(bias).map(|(sum, bias)| bias - input.zero * sum).collect();
        let factors = scales.iter().map(|scale| input.scale * scale / out.scale).collect();
        Self { matrix, offsets, factors, out }
    }

    /// How many bytes it makes of a row.
    pub(super) fn width(&self) -> usize {
        self.offsets.len()
    }

    /// Fills `out`, a row for each row of `x`; these begin `step` bytes apart.
    pub(super) fn forward(&self, x: &[u8], step: usize, out: &mut [u8]) {
        let width = self.width();
        self.matrix.multiply(x, step, out.len() / width, |row, products| {
            let out = &mut out[row * width..][..width];
            for (((byte, product), offset), factor) in
                out.iter_mut().zip(products).zip(&self.offsets).zip(&self.factors)
            {
                *byte = self.out.byte_of_steps((product + offset) as f32 * factor);
            }
        });
    }
}

/// The product of two tensors of bytes, neither known beforehand.
pub(super) struct Product {
    pub(super) left: Rounding,
    pub(super) right: Rounding,
    pub(super) out: Rounding,
}

impl Product {
    /// The right tensor, transposed, as [`forward`](Self::forward) takes it: signed bytes.
    pub(super) fn pack(rows: usize, cols: usize, byte: impl Fn(usize, usize) -> u8) -> ByteMatrix {
        ByteMatrix::new(rows, cols, |row, col| (byte(row, col) ^ 0x80) as i8)
    }

    /// Multiplies `count` rows of `x`, each `cols` long, with the `rows` of `right`. Rows of `x` and of `out` begin
    /// `steps` bytes apart.
    pub(super) fn forward(
        &self,
        x: &[u8],
        (right, cols): (&ByteMatrix, usize),
        count: usize,
        steps: [usize; 2],
        out: &mut [u8],
    ) {
        // The zero point moved with the bytes.
        let zero = self.right.zero - 128;
        let factor = self.left.scale * self.right.scale / self.out.scale;
        right.multiply(x, steps[0], count, |row, products| {
            let sum: i32 = x[row * steps[0]..][..cols].iter().map(|byte| i32::from(*byte)).sum();
            let offset = zero * (cols as i32 * self.left.zero - sum);
            let out = &mut out[row * steps[1]..][..products.len()];
            for ((byte, product), sum) in out.iter_mut().zip(products).zip(right.sums()) {
                let product = product + offset - self.left.zero * sum;
                *byte = self.out.byte_of_steps(product as f32 * factor);
            }
        });
    }
}

/// Softmax over rows of bytes; what comes out has zero point 0.
pub(super) struct Softmax {
    /// Powers of e, the last one for the greatest byte of a row.
    powers: [f32; 256],
    /// Whole steps of the output in 1.
    steps: f32,
}

/// Rows summed side by side; a sum itself must go from left to right.
const SUMS: usize = 8;

impl Softmax {
    /// Over rows of `len` bytes of scale `scale_in`.
    pub(super) fn new(len: usize, scale_in: f32, scale_out: f32) -> Self {
        // Powers as great as can be summed; the logarithm is one of 32 bits.
        let top = (f64::from((f32::MAX / len as f32).ln()) - 5.0) / f64::from(scale_in);
        let power = |byte: usize| ((byte as f64 - 255.0 + top) * f64::from(scale_in)).exp() as f32;
        Self { powers: std::array::from_fn(power), steps: (1.0 / scale_out).floor() }
    }

    /// In place, for rows of `len` bytes.
    pub(super) fn apply(&self, rows: &mut [u8], len: usize) {
        let mut powers = vec![0.0f32; len];
        for rows in rows.chunks_mut(SUMS * len) {
            let mut lifts = [0u8; SUMS];
            for (lift, row) in lifts.iter_mut().zip(rows.chunks_exact(len)) {
                *lift = 255 - row.iter().copied().max().unwrap_or(255);
            }
            let power = |byte: u8, lift: u8| self.powers[usize::from(byte.wrapping_add(lift))];
            let mut sums = [0.0f32; SUMS];
            for at in 0..len {
                for ((sum, row), lift) in sums.iter_mut().zip(rows.chunks_exact(len)).zip(lifts) {
                    *sum += power(row[at], lift);
                }
            }
            for ((sum, row), lift) in sums.iter().zip(rows.chunks_exact_mut(len)).zip(lifts) {
                for (to, byte) in powers.iter_mut().zip(row.iter()) {
                    *to = power(*byte, lift);
                }
                let out = Rounding { scale: 1.0, zero: 0 };
                for (byte, power) in row.iter_mut().zip(&powers) {
                    *byte = out.byte_of_steps(power * self.steps / sum);
                }
            }
        }
    }
}

/// Layer normalisation, in the order of ONNX Runtime's vector kernel.
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

impl Norm {
    /// Normalises a row, a multiple of eight long.
    pub(super) fn forward(&self, row: &[f32], mut put: impl FnMut(usize, f32)) {
        const LANES: usize = 8;
        let mean = (row.iter().map(|value| f64::from(*value)).sum::<f64>() / row.len() as f64) as f32;
        let mut lanes = [0.0f32; LANES];
        for values in row.as_chunks::<LANES>().0 {
            for (lane, value) in lanes.iter_mut().zip(values) {
                *lane = fused(value - mean, value - mean, *lane);
            }
        }
        let [a, b, c, d]: [f32; LANES / 2] = std::array::from_fn(|at| lanes[at] + lanes[at + LANES / 2]);
        let variance = ((a + c) + (b + d)) / row.len() as f32;
        let inverse = 1.0 / (variance + NORM_EPSILON).sqrt();
        for (at, ((value, gamma), beta)) in row.iter().zip(&self.gamma).zip(&self.beta).enumerate() {
            put(at, fused((value - mean) * inverse, *gamma, *beta));
        }
    }
}

/// GELU with the error function.
pub(super) fn gelu(x: f32) -> f32 {
    x * (0.5 * (erf(x / std::f32::consts::SQRT_2) + 1.0))
}

/// The error function to the last bit or two of ONNX Runtime's: its two polynomials (`MlasErfKernel`), after
/// N. Juffa's, and the exponential function of theirs.
fn erf(x: f32) -> f32 {
    const SPLIT: f32 = 0.921_875;
    const MOST: f32 = 3.925;
    const SMALL: [f32; 6] =
        [-5.991_049_7e-4, 4.993_396e-3, -2.676_673_4e-2, 0.112_818_025, -0.376_124_86, 0.128_379_15];
    const LARGE: [f32; 7] =
        [1.729_489_3e-5, -3.832_086_8e-4, 3.883_934_3e-3, -2.425_456e-2, 0.106_777_85, 0.634_846_7, 0.128_717_51];
    let polynomial = |terms: &[f32], x: f32| terms.iter().fold(0.0, |sum, term| fused(sum, x, *term));
    let size = x.abs().min(MOST);
    let result = if size > SPLIT {
        1.0 - exp(-fused(polynomial(&LARGE, size), size, size))
    } else {
        fused(polynomial(&SMALL, size * size), size, size)
    };
    result.copysign(x)
}

/// e to the power of a number from -87 to 0.
fn exp(x: f32) -> f32 {
    const TERMS: [f32; 7] = [1.383_198_1e-3, 8.375_5e-3, 4.166_895e-2, 0.166_664_47, 0.499_999_85, 1.0, 1.0];
    const LN_2_HIGH: f32 = 0.693_145_75;
    const LN_2_LOW: f32 = 1.428_606_8e-6;
    let exponent = fused(std::f32::consts::LOG2_E, x, TO_INTEGER) - TO_INTEGER;
    let rest = fused(exponent, -LN_2_LOW, fused(exponent, -LN_2_HIGH, x));
    let power = TERMS.iter().fold(0.0, |sum, term| fused(sum, rest, *term));
    power * exponent.exp2()
}

/// `a * b + c`, rounded once; on processors without such an instruction quicker than `mul_add`.
fn fused(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

/// The sum as NumPy adds it up: runs of 128 in eight lanes, and these in pairs.
pub(super) fn pairwise_sum(values: &[f32]) -> f32 {
    const RUN: usize = 128;
    const LANES: usize = 8;
    if values.len() > RUN {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % LANES);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (chunks, rest) = values.as_chunks::<LANES>();
    let Some((first, chunks)) = chunks.split_first() else { return rest.iter().sum() };
    let mut l = *first;
    for chunk in chunks {
        for (lane, value) in l.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    let sum = ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
    rest.iter().fold(sum, |sum, value| sum + value)
}
