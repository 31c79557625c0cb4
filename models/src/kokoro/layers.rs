//! The layers that Kokoro is made of. Activations are `[time, channels]`: one utterance, no batch.

use super::fused;
use super::weights::Weights;
use burn::tensor::activation::{sigmoid, tanh};
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, Tensor};
use tertulia::Result;
use tertulia::backend::CancelFlag;

/// Rows of a convolution's output made between two looks at the cancel flag.
const ROWS_BETWEEN_CHECKS: usize = 4096;
/// Added to the variance by instance and layer norms.
const EPSILON: f64 = 1e-5;

/// `x W + b`.
pub(super) struct Linear {
    weight: Tensor<2>,
    bias: Tensor<2>,
}

impl Linear {
    pub(super) fn load(weights: &Weights<'_>, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let weight: Tensor<2> = weights.tensor(&format!("{name}.weight"), [outputs, inputs])?;
        let bias: Tensor<1> = weights.tensor(&format!("{name}.bias"), [outputs])?;
        Ok(Self { weight: weight.transpose(), bias: bias.unsqueeze() })
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.clone()) + self.bias.clone()
    }
}

/// Normalises each row; the scale and shift are learned.
pub(super) struct LayerNorm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
}

impl LayerNorm {
    pub(super) fn load(weights: &Weights<'_>, [gamma, beta]: [&str; 2], channels: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { gamma: weights.tensor(gamma, [channels])?, beta: weights.tensor(beta, [channels])?, epsilon })
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        layer_norm(x, self.gamma.clone(), Some(self.beta.clone()), self.epsilon)
    }
}

/// Normalises each row; the scale and shift come from the style.
pub(super) struct AdaLayerNorm {
    style: Linear,
    ones: Tensor<1>,
}

impl AdaLayerNorm {
    pub(super) fn load(weights: &Weights<'_>, name: &str, style: usize, channels: usize) -> Result<Self> {
        let style = Linear::load(weights, &format!("{name}.fc"), style, 2 * channels)?;
        Ok(Self { style, ones: Tensor::ones([channels], weights.device()) })
    }

    pub(super) fn forward(&self, x: Tensor<2>, style: &Tensor<2>) -> Tensor<2> {
        let [_, channels] = x.dims();
        let [gamma, beta] = halves(self.style.forward(style.clone()), channels);
        let x = layer_norm(x, self.ones.clone(), None, EPSILON);
        x * (gamma + 1.0) + beta
    }
}

/// Adaptive instance normalisation (Huang and Belongie 2017): each channel is normalised over time, then scaled and
/// shifted as the style says.
pub(super) struct AdaIn {
    style: Linear,
    /// The activation after it: Snake, `x + sin(a x)^2 / a`, with one `a` per channel (Ziyin et al. 2020), or a leaky ReLU
    /// with slope 0.2 where there is none.
    snake: Option<Tensor<2>>,
}

impl AdaIn {
    pub(super) fn load(
        weights: &Weights<'_>,
        name: &str,
        style: usize,
        channels: usize,
        snake: Option<Tensor<2>>,
    ) -> Result<Self> {
        Ok(Self { style: Linear::load(weights, &format!("{name}.fc"), style, 2 * channels)?, snake })
    }

    pub(super) fn forward(&self, x: Tensor<2>, style: &Tensor<2>) -> Tensor<2> {
        let [_, channels] = x.dims();
        let [gamma, beta] = halves(self.style.forward(style.clone()), channels);
        fused::adain(x, gamma, beta, self.snake.as_ref())
    }
}

/// Splits `[1, 2 n]` into scale and shift.
fn halves(x: Tensor<2>, channels: usize) -> [Tensor<2>; 2] {
    [x.clone().narrow(1, 0, channels), x.narrow(1, channels, channels)]
}

/// A convolution over time, as one matrix product over overlapping windows: the window that starts at row t is
/// `kernel * channels` numbers that lie next to each other, so on the CPU nothing is copied for it.
pub(super) struct Conv {
    /// `[kernel * inputs, outputs]`
    weight: Tensor<2>,
    bias: Option<Tensor<2>>,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
}

/// Sizes of a [`Conv`].
#[derive(Clone, Copy)]
pub(super) struct ConvSize {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
}

impl Conv {
    /// Stride 1, no dilation, and as much padding as keeps the length.
    pub(super) fn load(weights: &Weights<'_>, name: &str, size: ConvSize) -> Result<Self> {
        let ConvSize { inputs, outputs, kernel } = size;
        let weight: Tensor<3> = weights.tensor(&format!("{name}.weight"), [outputs, inputs, kernel])?;
        let bias = format!("{name}.bias");
        let bias = match weights.contains(&bias) {
            true => Some(weights.tensor::<1>(&bias, [outputs])?.unsqueeze()),
            false => None,
        };
        let weight = weight.permute([2, 1, 0]).reshape([kernel * inputs, outputs]);
        Ok(Self { weight, bias, inputs, outputs, kernel, stride: 1, dilation: 1, padding: kernel / 2 })
    }

    pub(super) fn with_stride(mut self, stride: usize, padding: usize) -> Self {
        (self.stride, self.padding) = (stride, padding);
        self
    }

    pub(super) fn with_dilation(mut self, dilation: usize) -> Self {
        (self.dilation, self.padding) = (dilation, self.kernel / 2 * dilation);
        self
    }

    pub(super) fn forward(&self, x: Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let y = if self.dilation == 1 { self.dense(x, cancel)? } else { self.dilated(x, cancel)? };
        Ok(match &self.bias {
            Some(bias) => y + bias.clone(),
            None => y,
        })
    }

    fn dense(&self, x: Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let padded = self.padded(x, self.padding);
        let [rows, _] = padded.dims();
        self.windows_by_weight(padded.reshape([rows * self.inputs]), self.stride, cancel)
    }

    /// Each residue of the time modulo the dilation is a dense convolution of its own. They are laid one after the
    /// other; the windows that would reach over a border are left out of the result.
    fn dilated(&self, x: Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let (d, [rows, _]) = (self.dilation, x.dims());
        let len = (rows + 2 * self.padding).div_ceil(d);
        let padded = self.padded(x, len * d - rows - self.padding);
        let phases = padded.reshape([len, d, self.inputs]).swap_dims(0, 1).reshape([d * len * self.inputs]);
        let y = self.windows_by_weight(phases, 1, cancel)?;
        let rest = Tensor::zeros([self.kernel - 1, self.outputs], &y.device());
        let valid = len - (self.kernel - 1);
        let y = Tensor::cat(vec![y, rest], 0).reshape([d, len, self.outputs]).narrow(1, 0, valid);
        Ok(y.swap_dims(0, 1).reshape([valid * d, self.outputs]).narrow(0, 0, rows))
    }

    /// Zeros in front as the padding says, and `after` zeros behind.
    fn padded(&self, x: Tensor<2>, after: usize) -> Tensor<2> {
        let device = x.device();
        let zeros = |rows: usize| (rows > 0).then(|| Tensor::zeros([rows, self.inputs], &device));
        let parts: Vec<Tensor<2>> = [zeros(self.padding), Some(x), zeros(after)].into_iter().flatten().collect();
        Tensor::cat(parts, 0)
    }

    fn windows_by_weight(&self, x: Tensor<1>, stride: usize, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let windows: Tensor<2> = x.unfold(0, self.kernel * self.inputs, stride * self.inputs);
        let [rows, _] = windows.dims();
        let mut parts = Vec::new();
        for start in (0..rows).step_by(ROWS_BETWEEN_CHECKS) {
            cancel.check()?;
            let block = windows.clone().narrow(0, start, ROWS_BETWEEN_CHECKS.min(rows - start));
            parts.push(block.matmul(self.weight.clone()));
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) })
    }
}

/// A transposed convolution whose kernel is twice its stride: every input row adds to two runs of `stride` output
/// rows, so the product's two halves are added with one row's delay.
pub(super) struct Upsample {
    /// `[inputs, kernel * outputs]`
    weight: Tensor<2>,
    bias: Tensor<2>,
    outputs: usize,
    stride: usize,
}

impl Upsample {
    pub(super) fn load(
        weights: &Weights<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
        stride: usize,
    ) -> Result<Self> {
        let kernel = 2 * stride;
        let weight: Tensor<3> = weights.tensor(&format!("{name}.weight"), [inputs, outputs, kernel])?;
        let bias: Tensor<1> = weights.tensor(&format!("{name}.bias"), [outputs])?;
        let weight = weight.swap_dims(1, 2).reshape([inputs, kernel * outputs]);
        Ok(Self { weight, bias: bias.unsqueeze(), outputs, stride })
    }

    /// `[time, inputs]` to `[time * stride, outputs]`.
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, _] = x.dims();
        let half = self.stride * self.outputs;
        let y = x.matmul(self.weight.clone());
        let none = Tensor::zeros([1, half], &y.device());
        let first = Tensor::cat(vec![y.clone().narrow(1, 0, half), none.clone()], 0);
        let second = Tensor::cat(vec![none, y.narrow(1, half, half)], 0);
        let y = (first + second).reshape([(rows + 1) * self.stride, self.outputs]);
        y.narrow(0, self.stride / 2, rows * self.stride) + self.bias.clone()
    }
}

/// A transposed convolution of each channel by itself, kernel 3, stride 2, that doubles the length.
pub(super) struct Doubling {
    /// One `[1, channels]` for each tap.
    taps: [Tensor<2>; 3],
    bias: Tensor<2>,
}

impl Doubling {
    pub(super) fn load(weights: &Weights<'_>, name: &str, channels: usize) -> Result<Self> {
        let weight: Tensor<3> = weights.tensor(&format!("{name}.weight"), [channels, 1, 3])?;
        let bias: Tensor<1> = weights.tensor(&format!("{name}.bias"), [channels])?;
        let tap = |k| weight.clone().narrow(2, k, 1).reshape([1, channels]);
        Ok(Self { taps: [tap(0), tap(1), tap(2)], bias: bias.unsqueeze() })
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, channels] = x.dims();
        let [before, at, after] = self.taps.clone();
        let next = Tensor::cat(vec![x.clone().narrow(0, 1, rows - 1), Tensor::zeros([1, channels], &x.device())], 0);
        let even = x.clone() * at;
        let odd = x * after + next * before;
        Tensor::<2>::stack::<3>(vec![even, odd], 1).reshape([2 * rows, channels]) + self.bias.clone()
    }
}

/// Repeats every row.
pub(super) fn doubled(x: Tensor<2>) -> Tensor<2> {
    let [rows, channels] = x.dims();
    Tensor::<2>::stack::<3>(vec![x.clone(), x], 1).reshape([2 * rows, channels])
}

/// A bidirectional LSTM of one layer.
pub(super) struct Lstm {
    directions: [LstmDirection; 2],
    hidden: usize,
}

struct LstmDirection {
    /// `[inputs, 4 hidden]`, gates in the order i, f, g, o.
    input: Tensor<2>,
    /// `[hidden, 4 hidden]`
    recurrent: Tensor<2>,
    bias: Tensor<2>,
}

impl Lstm {
    pub(super) fn load(weights: &Weights<'_>, name: &str, inputs: usize, hidden: usize) -> Result<Self> {
        let direction = |suffix: &str| -> Result<LstmDirection> {
            let input: Tensor<2> = weights.tensor(&format!("{name}.weight_ih_l0{suffix}"), [4 * hidden, inputs])?;
            let recurrent: Tensor<2> = weights.tensor(&format!("{name}.weight_hh_l0{suffix}"), [4 * hidden, hidden])?;
            let bias =
                ["ih", "hh"].map(|kind| weights.tensor::<1>(&format!("{name}.bias_{kind}_l0{suffix}"), [4 * hidden]));
            let [of_input, of_hidden] = bias;
            // Contiguous, for the recurrent product is made once for every row.
            let recurrent = Tensor::from_data(recurrent.transpose().into_data(), weights.device());
            Ok(LstmDirection { input: input.transpose(), recurrent, bias: (of_input? + of_hidden?).unsqueeze() })
        };
        Ok(Self { directions: [direction("")?, direction("_reverse")?], hidden })
    }

    /// `[time, inputs]` to `[time, 2 hidden]`.
    pub(super) fn forward(&self, x: Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let [forward, backward] = &self.directions;
        let forward = self.run(forward, x.clone(), false, cancel)?;
        let backward = self.run(backward, x, true, cancel)?;
        Ok(Tensor::cat(vec![forward, backward], 1))
    }

    fn run(&self, direction: &LstmDirection, x: Tensor<2>, reverse: bool, cancel: &CancelFlag) -> Result<Tensor<2>> {
        let ([rows, _], n) = (x.dims(), self.hidden);
        let device: Device = x.device();
        let gates = x.matmul(direction.input.clone()) + direction.bias.clone();
        let mut hidden = Tensor::<2>::zeros([1, n], &device);
        let mut cell = Tensor::<2>::zeros([1, n], &device);
        let mut outputs = Vec::with_capacity(rows);
        for step in 0..rows {
            cancel.check()?;
            let row = if reverse { rows - 1 - step } else { step };
            let gates = gates.clone().narrow(0, row, 1) + hidden.matmul(direction.recurrent.clone());
            let kept = sigmoid(gates.clone().narrow(1, 0, 2 * n));
            let (input, forget) = (kept.clone().narrow(1, 0, n), kept.narrow(1, n, n));
            cell = forget * cell + input * tanh(gates.clone().narrow(1, 2 * n, n));
            hidden = sigmoid(gates.narrow(1, 3 * n, n)) * tanh(cell.clone());
            outputs.push(hidden.clone());
        }
        if reverse {
            outputs.reverse();
        }
        Ok(Tensor::cat(outputs, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;
    use burn::tensor::activation::leaky_relu;

    fn numbers(seed: f32, rows: usize, columns: usize) -> Tensor<2> {
        let values: Vec<f32> = (0..rows * columns).map(|n| ((n as f32 * 0.37 + seed).sin() * 43.7).fract()).collect();
        Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
    }

    fn largest_difference(one: Tensor<2>, other: Tensor<2>) -> f32 {
        assert_eq!(one.dims(), other.dims());
        (one - other).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn the_fused_norm_agrees_with_the_composed_one() {
        let style = numbers(0.5, 1, 16);
        for snake in [None, Some(numbers(3.0, 1, 24).abs() + 0.3)] {
            let linear = Linear { weight: numbers(1.0, 16, 48), bias: numbers(2.0, 1, 48) };
            let layer = AdaIn { style: linear, snake: snake.clone() };
            let x = numbers(4.0, 700, 24) * 3.0;
            let [gamma, beta] = halves(layer.style.forward(style.clone()), 24);
            let mean = x.clone().mean_dim(0);
            let variance = (x.clone() - mean.clone()).square().mean_dim(0);
            let scale = (gamma + 1.0) / (variance + EPSILON).sqrt();
            let normed = x.clone() * scale.clone() + (beta - mean * scale);
            let composed = match &snake {
                None => leaky_relu(normed, 0.2),
                Some(alpha) => normed.clone() + (normed * alpha.clone()).sin().square() / alpha.clone(),
            };
            let difference = largest_difference(layer.forward(x, &style), composed);
            assert!(difference < 1e-4, "snake {}: {difference}", snake.is_some());
        }
    }

    #[test]
    fn convolutions_agree_with_the_definition() {
        for (kernel, stride, dilation, padding) in
            [(3, 1, 1, 1), (3, 2, 1, 1), (7, 1, 3, 9), (11, 1, 5, 25), (1, 1, 1, 0)]
        {
            let (inputs, outputs, rows) = (3, 2, 31);
            let weight = numbers(1.0, kernel * inputs, outputs);
            let conv = Conv { weight: weight.clone(), bias: None, inputs, outputs, kernel, stride, dilation, padding };
            let x = numbers(2.0, rows, inputs);
            let y = conv.forward(x.clone(), &CancelFlag::new()).unwrap();
            let read = |tensor: &Tensor<2>| tensor.clone().into_data().try_to_vec::<f32>().unwrap();
            let (x, w) = (read(&x), read(&weight));
            let made = (rows + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
            let mut expected = vec![0.0; made * outputs];
            for t in 0..made {
                for k in 0..kernel {
                    let Some(at) = (t * stride + k * dilation).checked_sub(padding).filter(|&at| at < rows) else {
                        continue;
                    };
                    for (i, o) in (0..inputs).flat_map(|i| (0..outputs).map(move |o| (i, o))) {
                        expected[t * outputs + o] += x[at * inputs + i] * w[(k * inputs + i) * outputs + o];
                    }
                }
            }
            let expected = Tensor::from_data(TensorData::new(expected, [made, outputs]), &Device::flex());
            assert!(largest_difference(y, expected) < 1e-4, "kernel {kernel}, stride {stride}, dilation {dilation}");
        }
    }
}
