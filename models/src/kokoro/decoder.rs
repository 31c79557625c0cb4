//! Sound from phoneme encodings, pitch and energy: the iSTFTNet decoder (Kaneko et al. 2022) of StyleTTS 2.

use super::TIMBRE_WIDTH;
use super::layers::{AdaIn, Conv, ConvSize, Upsample};
use super::predictor::{HIDDEN, StyledBlock};
use super::source::Source;
use super::spectrum::{BINS, Complex, inverse, transform};
use super::weights::Weights;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Tensor, TensorData};
use tertulia::backend::CancelFlag;
use tertulia::{Error, ErrorCode, Result};

const WIDE: usize = 1024;
const RESIDUAL: usize = 64;
/// Kernels of the three residual blocks that follow each upsampling, and of the block in the noise's path.
const KERNELS: [usize; 3] = [3, 7, 11];
const DILATIONS: [usize; 3] = [1, 3, 5];

pub(super) struct Decoder {
    encode: StyledBlock,
    decode: [StyledBlock; 4],
    pitch: Conv,
    energy: Conv,
    residual: Conv,
    source: Source,
    stages: [Stage; 2],
    last: Conv,
}

/// One upsampling of the generator, with what the harmonic source adds to it.
struct Stage {
    up: Upsample,
    noise: Conv,
    noise_block: SnakeBlock,
    blocks: [SnakeBlock; 3],
}

impl Decoder {
    pub(super) fn load(weights: &Weights<'_>) -> Result<Self> {
        let block = |name: &str, inputs, outputs, doubling| {
            StyledBlock::load(weights, &format!("decoder.{name}"), inputs, outputs, doubling)
        };
        let joined = WIDE + RESIDUAL + 2;
        let single = ConvSize { inputs: 1, outputs: 1, kernel: 3 };
        let residual = ConvSize { inputs: HIDDEN, outputs: RESIDUAL, kernel: 1 };
        let last = ConvSize { inputs: 128, outputs: 2 * BINS, kernel: 7 };
        Ok(Self {
            encode: block("encode", HIDDEN + 2, WIDE, false)?,
            decode: [
                block("decode.0", joined, WIDE, false)?,
                block("decode.1", joined, WIDE, false)?,
                block("decode.2", joined, WIDE, false)?,
                block("decode.3", joined, HIDDEN, true)?,
            ],
            pitch: Conv::load(weights, "decoder.F0_conv", single)?.with_stride(2, 1),
            energy: Conv::load(weights, "decoder.N_conv", single)?.with_stride(2, 1),
            residual: Conv::load(weights, "decoder.asr_res.0", residual)?,
            source: Source::load(weights)?,
            stages: [Stage::load(weights, 0)?, Stage::load(weights, 1)?],
            last: Conv::load(weights, "decoder.generator.conv_post", last)?,
        })
    }

    /// Phoneme encodings spread over frames, with pitch and energy at twice the rate, to 600 samples a frame.
    pub(super) fn forward(
        &self,
        frames: Tensor<2>,
        pitch: &Tensor<2>,
        energy: &Tensor<2>,
        style: &Tensor<2>,
        cancel: &CancelFlag,
    ) -> Result<Vec<f32>> {
        let harmonics = self.harmonics(pitch)?;
        let pitch = self.pitch.forward(pitch.clone(), cancel)?;
        let energy = self.energy.forward(energy.clone(), cancel)?;
        let residual = self.residual.forward(frames.clone(), cancel)?;
        let mut x = Tensor::cat(vec![frames, pitch.clone(), energy.clone()], 1);
        x = self.encode.forward(x, style, cancel)?;
        for block in &self.decode {
            x = Tensor::cat(vec![x, residual.clone(), pitch.clone(), energy.clone()], 1);
            x = block.forward(x, style, cancel)?;
        }
        let [first, second] = &self.stages;
        x = first.forward(x, &harmonics, false, style, cancel)?;
        x = second.forward(x, &harmonics, true, style, cancel)?;
        let spectrum = self.last.forward(leaky_relu(x, 0.01), cancel)?;
        let [rows, _] = spectrum.dims();
        let values = numbers(spectrum)?;
        // A row is the logarithms of the magnitudes, then what becomes the phases through a sine.
        let bins: Vec<[Complex; BINS]> = values
            .chunks_exact(2 * BINS)
            .map(|row| std::array::from_fn(|k| Complex::polar(row[k].exp(), row[BINS + k].sin())))
            .collect();
        debug_assert_eq!(bins.len(), rows);
        Ok(inverse(&bins))
    }

    /// The source's spectrum as the generator reads it: magnitudes, then phases, `[time, 2 BINS]`.
    fn harmonics(&self, pitch: &Tensor<2>) -> Result<Tensor<2>> {
        let device = pitch.device();
        let sound = self.source.sound(&numbers(pitch.clone())?);
        let frames = transform(&sound);
        let values: Vec<f32> = frames
            .iter()
            .flat_map(|bins| bins.iter().map(Complex::magnitude).chain(bins.iter().map(Complex::phase)))
            .collect();
        Ok(Tensor::from_data(TensorData::new(values, [frames.len(), 2 * BINS]), &device))
    }
}

/// A tensor's elements, row major.
pub(super) fn numbers<const D: usize>(x: Tensor<D>) -> Result<Vec<f32>> {
    x.into_data()
        .try_to_vec()
        .map_err(|e| Error::new(ErrorCode::SynthesizerFailed, format!("tensor cannot be read from the device: {e:?}")))
}

impl Stage {
    fn load(weights: &Weights<'_>, index: usize) -> Result<Self> {
        let name = |part: &str| format!("decoder.generator.{part}.{index}");
        let (inputs, outputs, stride) = [(512, 256, 10), (256, 128, 6)][index];
        // The source has 60 frames for one of the decoder's: six to one at the first stage, as they come at the last.
        let (kernel, noise_stride, padding) = [(12, 6, 3), (1, 1, 0)][index];
        let noise = ConvSize { inputs: 2 * BINS, outputs, kernel };
        let block = |kernel: usize| {
            let index = 3 * index + KERNELS.iter().position(|&k| k == kernel).unwrap_or_default();
            SnakeBlock::load(weights, &format!("decoder.generator.resblocks.{index}"), outputs, kernel)
        };
        Ok(Self {
            up: Upsample::load(weights, &name("ups"), inputs, outputs, stride)?,
            noise: Conv::load(weights, &name("noise_convs"), noise)?.with_stride(noise_stride, padding),
            noise_block: SnakeBlock::load(weights, &name("noise_res"), outputs, KERNELS[1 + index])?,
            blocks: [block(KERNELS[0])?, block(KERNELS[1])?, block(KERNELS[2])?],
        })
    }

    fn forward(
        &self,
        x: Tensor<2>,
        harmonics: &Tensor<2>,
        last: bool,
        style: &Tensor<2>,
        cancel: &CancelFlag,
    ) -> Result<Tensor<2>> {
        let noise = self.noise.forward(harmonics.clone(), cancel)?;
        let noise = self.noise_block.forward(noise, style, cancel)?;
        let mut x = self.up.forward(leaky_relu(x, 0.1));
        if last {
            // One frame more, mirrored at the start: the number that an STFT of this length has.
            x = Tensor::cat(vec![x.clone().narrow(0, 1, 1), x], 0);
        }
        let x = x + noise;
        let mut sum: Option<Tensor<2>> = None;
        for block in &self.blocks {
            let y = block.forward(x.clone(), style, cancel)?;
            sum = Some(match sum {
                Some(sum) => sum + y,
                None => y,
            });
        }
        Ok(sum.unwrap_or(x) / self.blocks.len() as f64)
    }
}

/// Three times: norm, Snake, a dilated convolution, norm, Snake, a convolution; each time added to what came in.
struct SnakeBlock {
    layers: [[(AdaIn, Conv); 2]; 3],
}

impl SnakeBlock {
    fn load(weights: &Weights<'_>, name: &str, channels: usize, kernel: usize) -> Result<Self> {
        let half = |part: usize, index: usize, dilation: usize| -> Result<(AdaIn, Conv)> {
            let alpha: Tensor<3> = weights.tensor(&format!("{name}.alpha{part}.{index}"), [1, channels, 1])?;
            let snake = Some(alpha.reshape([1, channels]));
            let norm = AdaIn::load(weights, &format!("{name}.adain{part}.{index}"), TIMBRE_WIDTH, channels, snake)?;
            let size = ConvSize { inputs: channels, outputs: channels, kernel };
            let conv = Conv::load(weights, &format!("{name}.convs{part}.{index}"), size)?;
            Ok((norm, conv.with_dilation(dilation)))
        };
        let layer = |index: usize| -> Result<[(AdaIn, Conv); 2]> {
            Ok([half(1, index, DILATIONS[index])?, half(2, index, 1)?])
        };
        Ok(Self { layers: [layer(0)?, layer(1)?, layer(2)?] })
    }

    fn forward(&self, mut x: Tensor<2>, style: &Tensor<2>, cancel: &CancelFlag) -> Result<Tensor<2>> {
        for [(norm, conv), (second_norm, second_conv)] in &self.layers {
            let y = conv.forward(norm.forward(x.clone(), style), cancel)?;
            let y = second_conv.forward(second_norm.forward(y, style), cancel)?;
            x = x + y;
        }
        Ok(x)
    }
}
