//! The network: a short-time Fourier transform as a convolution, four convolutions, an LSTM cell, one output.
//!
//! Every layer is a product of a row-major matrix with a column that lies contiguously in memory.

use super::{ARCHITECTURE, FRAME_LEN};
use crate::gguf::Gguf;
use crate::kernels::dot_in_lanes;
use tertulia::{Error, ErrorCode, Result};

/// Samples kept from the frame before.
const CONTEXT_LEN: usize = 64;
/// Samples mirrored at the right end.
const MIRROR_LEN: usize = 64;
const PADDED_LEN: usize = CONTEXT_LEN + FRAME_LEN + MIRROR_LEN;
const WINDOW_LEN: usize = 256;
const HOP_LEN: usize = 128;
const BINS: usize = WINDOW_LEN / 2 + 1;
/// Columns of the spectrum.
const COLUMNS: usize = (PADDED_LEN - WINDOW_LEN) / HOP_LEN + 1;
const KERNEL_LEN: usize = 3;
const HIDDEN_LEN: usize = 128;
/// Input, forget, cell and output gate, in this order.
const GATES_LEN: usize = 4 * HIDDEN_LEN;

/// Channels in, channels out, stride and columns out of each convolution.
const CONVOLUTIONS: [Convolution; 4] = [
    Convolution { channels_in: BINS, channels_out: 128, stride: 1, columns_in: COLUMNS },
    Convolution { channels_in: 128, channels_out: 64, stride: 2, columns_in: COLUMNS },
    Convolution { channels_in: 64, channels_out: 64, stride: 2, columns_in: COLUMNS / 2 },
    Convolution { channels_in: 64, channels_out: HIDDEN_LEN, stride: 1, columns_in: COLUMNS / 4 },
];

/// The tensors of the file with their shapes, under the names that Silero gave them.
pub(super) const TENSORS: &[(&str, &[usize])] = &[
    ("model.stft.forward_basis_buffer", &[2 * BINS, 1, WINDOW_LEN]),
    ("model.encoder.0.reparam_conv.weight", &[128, BINS, KERNEL_LEN]),
    ("model.encoder.0.reparam_conv.bias", &[128]),
    ("model.encoder.1.reparam_conv.weight", &[64, 128, KERNEL_LEN]),
    ("model.encoder.1.reparam_conv.bias", &[64]),
    ("model.encoder.2.reparam_conv.weight", &[64, 64, KERNEL_LEN]),
    ("model.encoder.2.reparam_conv.bias", &[64]),
    ("model.encoder.3.reparam_conv.weight", &[HIDDEN_LEN, 64, KERNEL_LEN]),
    ("model.encoder.3.reparam_conv.bias", &[HIDDEN_LEN]),
    ("model.decoder.rnn.weight_ih", &[GATES_LEN, HIDDEN_LEN]),
    ("model.decoder.rnn.weight_hh", &[GATES_LEN, HIDDEN_LEN]),
    ("model.decoder.rnn.bias_ih", &[GATES_LEN]),
    ("model.decoder.rnn.bias_hh", &[GATES_LEN]),
    ("model.decoder.decoder.2.weight", &[1, HIDDEN_LEN, 1]),
    ("model.decoder.decoder.2.bias", &[1]),
];

/// The weights as they lie in the file.
pub(super) struct Weights {
    stft: Vec<f32>,
    convolutions: [Matrix; CONVOLUTIONS.len()],
    input: Matrix,
    recurrent: Matrix,
    output: Matrix,
}

struct Matrix {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

struct Convolution {
    channels_in: usize,
    channels_out: usize,
    stride: usize,
    columns_in: usize,
}

/// The state of one stream of audio: the samples before, the recurrent state, and room to work in.
pub(super) struct State {
    padded: [f32; PADDED_LEN],
    hidden: [f32; HIDDEN_LEN],
    cell: [f32; HIDDEN_LEN],
    /// The columns that the next layer reads, one after the other, and those that it writes.
    columns: [f32; COLUMNS * BINS],
    next_columns: [f32; COLUMNS * BINS],
    /// A column with its neighbours, in the order of a convolution's weights.
    patch: [f32; BINS * KERNEL_LEN],
    spectrum: [f32; 2 * BINS],
    gates: [f32; GATES_LEN],
    recurrent_gates: [f32; GATES_LEN],
}

impl Weights {
    /// Bytes of the weights in memory.
    pub(super) const BYTES: usize = {
        let (mut elements, mut i) = (0, 0);
        while i < TENSORS.len() {
            let (mut product, mut axis) = (1, 0);
            while axis < TENSORS[i].1.len() {
                product *= TENSORS[i].1[axis];
                axis += 1;
            }
            elements += product;
            i += 1;
        }
        elements * size_of::<f32>()
    };

    /// # Errors
    /// [`ErrorCode::ModelUnsupported`] for another architecture or shape, [`ErrorCode::ModelCorrupt`] where a
    /// tensor is absent.
    pub(super) fn read(file: &Gguf) -> Result<Self> {
        if file.str("general.architecture")? != ARCHITECTURE {
            return Err(file.unsupported("not a Silero VAD model"));
        }
        let mut tensors = Vec::with_capacity(TENSORS.len());
        for (name, shape) in TENSORS {
            let tensor = file.tensor(name)?;
            if tensor.shape != *shape {
                return Err(Error::new(
                    ErrorCode::ModelUnsupported,
                    format!("{}: tensor {name} has another shape", file.file_name()),
                ));
            }
            tensors.push(tensor.to_f32()?);
        }
        let mut tensors = tensors.into_iter();
        let mut next = || tensors.next().expect("the table names every tensor that is taken here");
        let stft = next();
        let convolutions = std::array::from_fn(|_| Matrix { weights: next(), bias: next() });
        let (input, recurrent) = (next(), next());
        let input = Matrix { weights: input, bias: next() };
        let recurrent = Matrix { weights: recurrent, bias: next() };
        let output = Matrix { weights: next(), bias: next() };
        Ok(Self { stft, convolutions, input, recurrent, output })
    }
}

impl State {
    /// Bytes of one stream.
    pub(super) const BYTES: usize = size_of::<Self>();

    pub(super) fn new() -> Self {
        Self {
            padded: [0.0; PADDED_LEN],
            hidden: [0.0; HIDDEN_LEN],
            cell: [0.0; HIDDEN_LEN],
            columns: [0.0; COLUMNS * BINS],
            next_columns: [0.0; COLUMNS * BINS],
            patch: [0.0; BINS * KERNEL_LEN],
            spectrum: [0.0; 2 * BINS],
            gates: [0.0; GATES_LEN],
            recurrent_gates: [0.0; GATES_LEN],
        }
    }

    /// Clears the state. Only these three carry anything from one frame to the next.
    pub(super) fn clear(&mut self) {
        self.padded = [0.0; PADDED_LEN];
        self.hidden = [0.0; HIDDEN_LEN];
        self.cell = [0.0; HIDDEN_LEN];
    }

    /// The probability of speech in the next frame.
    pub(super) fn step(&mut self, weights: &Weights, frame: &[f32; FRAME_LEN]) -> f32 {
        self.pad(frame);
        self.magnitudes(&weights.stft);
        for (shape, matrix) in CONVOLUTIONS.iter().zip(&weights.convolutions) {
            self.convolve(shape, matrix);
        }
        self.recur(weights);
        let mut logit = [0.0];
        let rectified = self.hidden.map(|value| value.max(0.0));
        weights.output.times(&rectified, &mut logit);
        sigmoid(logit[0])
    }

    fn pad(&mut self, frame: &[f32; FRAME_LEN]) {
        const END: usize = CONTEXT_LEN + FRAME_LEN;
        self.padded.copy_within(FRAME_LEN..END, 0);
        self.padded[CONTEXT_LEN..END].copy_from_slice(frame);
        for i in 0..MIRROR_LEN {
            self.padded[END + i] = self.padded[END - 2 - i];
        }
    }

    fn magnitudes(&mut self, basis: &[f32]) {
        for (column, window_start) in self.columns.chunks_exact_mut(BINS).zip((0..).step_by(HOP_LEN)) {
            let window = &self.padded[window_start..window_start + WINDOW_LEN];
            for (bin, row) in self.spectrum.iter_mut().zip(basis.chunks_exact(WINDOW_LEN)) {
                *bin = dot_in_lanes::<8>(row, window);
            }
            let (real, imaginary) = self.spectrum.split_at(BINS);
            for ((magnitude, re), im) in column.iter_mut().zip(real).zip(imaginary) {
                *magnitude = (re * re + im * im).sqrt();
            }
        }
    }

    /// One convolution with zeros at both ends, rectified.
    fn convolve(&mut self, shape: &Convolution, matrix: &Matrix) {
        let patch = &mut self.patch[..shape.channels_in * KERNEL_LEN];
        let columns_out = self.next_columns.chunks_exact_mut(shape.channels_out);
        for (column, centre) in columns_out.zip((0..shape.columns_in).step_by(shape.stride)) {
            for (channel, taps) in patch.chunks_exact_mut(KERNEL_LEN).enumerate() {
                for (tap, value) in taps.iter_mut().enumerate() {
                    // `centre + tap - 1`, where that is a column.
                    let inside = (1..=shape.columns_in).contains(&(centre + tap));
                    *value = if inside { self.columns[(centre + tap - 1) * shape.channels_in + channel] } else { 0.0 };
                }
            }
            matrix.times(patch, column);
            for value in column {
                *value = value.max(0.0);
            }
        }
        std::mem::swap(&mut self.columns, &mut self.next_columns);
    }

    /// The LSTM cell, fed with the one column that is left.
    fn recur(&mut self, weights: &Weights) {
        weights.input.times(&self.columns[..HIDDEN_LEN], &mut self.gates);
        weights.recurrent.times(&self.hidden, &mut self.recurrent_gates);
        for (gate, recurrent) in self.gates.iter_mut().zip(&self.recurrent_gates) {
            *gate += recurrent;
        }
        let (input, rest) = self.gates.split_at(HIDDEN_LEN);
        let (forget, rest) = rest.split_at(HIDDEN_LEN);
        let (candidate, output) = rest.split_at(HIDDEN_LEN);
        for i in 0..HIDDEN_LEN {
            self.cell[i] = sigmoid(forget[i]) * self.cell[i] + sigmoid(input[i]) * candidate[i].tanh();
            self.hidden[i] = sigmoid(output[i]) * self.cell[i].tanh();
        }
    }
}

impl Matrix {
    fn times(&self, column: &[f32], out: &mut [f32]) {
        let rows = self.weights.chunks_exact(column.len());
        for ((value, row), bias) in out.iter_mut().zip(rows).zip(&self.bias) {
            *value = dot_in_lanes::<8>(row, column) + bias;
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
