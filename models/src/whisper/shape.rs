//! [`Shape`]: the sizes of a Whisper and the tensors that follow from them.

use crate::mel::HOP;
use tertulia::{Error, ErrorCode, Result};

/// Samples of the longest encoder window: 30 s at 16 kHz.
pub(super) const WINDOW_SAMPLES: usize = 480_000;
/// Mel frames of that window.
pub(super) const WINDOW_FRAMES: usize = WINDOW_SAMPLES / HOP;
/// Samples of one encoder position.
pub(super) const POSITION_SAMPLES: usize = 2 * HOP;
/// Frames that a convolution covers.
pub(super) const KERNEL: usize = 3;

/// The sizes of a Whisper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) mel_bins: usize,
    /// Positions of the encoder: half the frames of a window.
    pub(super) audio_positions: usize,
    /// Positions of the decoder.
    pub(super) text_positions: usize,
    pub(super) width: usize,
    pub(super) encoder_heads: usize,
    pub(super) decoder_heads: usize,
    pub(super) encoder_layers: usize,
    pub(super) decoder_layers: usize,
    pub(super) tokens: usize,
}

impl Shape {
    /// Every tensor of the model with its dimensions, in the order in which a file holds them.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let width = self.width;
        let mut all = vec![];
        let mut add = |name: String, dims: &[usize]| all.push((name, dims.to_vec()));
        let pair = |add: &mut dyn FnMut(String, &[usize]), name: String, dims: &[usize]| {
            add(format!("{name}.weight"), dims);
            add(format!("{name}.bias"), &dims[..1]);
        };
        pair(&mut add, "encoder.conv1".into(), &[width, self.mel_bins, KERNEL]);
        pair(&mut add, "encoder.conv2".into(), &[width, width, KERNEL]);
        add("encoder.positional_embedding".into(), &[self.audio_positions, width]);
        add("decoder.token_embedding.weight".into(), &[self.tokens, width]);
        add("decoder.positional_embedding".into(), &[self.text_positions, width]);
        for (side, layers) in [("encoder", self.encoder_layers), ("decoder", self.decoder_layers)] {
            for layer in 0..layers {
                let block = format!("{side}.blocks.{layer}");
                pair(&mut add, format!("{block}.attn_ln"), &[width]);
                pair(&mut add, format!("{block}.attn.qkv"), &[3 * width, width]);
                pair(&mut add, format!("{block}.attn.out"), &[width, width]);
                if side == "decoder" {
                    pair(&mut add, format!("{block}.cross_attn_ln"), &[width]);
                    pair(&mut add, format!("{block}.cross_attn.query"), &[width, width]);
                    pair(&mut add, format!("{block}.cross_attn.key_value"), &[2 * width, width]);
                    pair(&mut add, format!("{block}.cross_attn.out"), &[width, width]);
                }
                pair(&mut add, format!("{block}.mlp_ln"), &[width]);
                pair(&mut add, format!("{block}.mlp.0"), &[4 * width, width]);
                pair(&mut add, format!("{block}.mlp.2"), &[width, 4 * width]);
            }
        }
        pair(&mut add, "encoder.ln_post".into(), &[width]);
        pair(&mut add, "decoder.ln".into(), &[width]);
        all
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`ErrorCode::ModelCorrupt`] where they contradict each other, [`ErrorCode::ModelUnsupported`] for another encoder
    /// input than Whisper's.
    pub(super) fn check(&self) -> Result<()> {
        let within = |value: usize, most: usize| (1..=most).contains(&value);
        let sound = within(self.width, 16_384)
            && within(self.encoder_layers, 256)
            && within(self.decoder_layers, 256)
            && within(self.text_positions, 65_536)
            && within(self.tokens, 1 << 20)
            && [self.encoder_heads, self.decoder_heads]
                .iter()
                .all(|h| within(*h, 256) && self.width.is_multiple_of(*h));
        if !sound {
            return Err(Error::new(ErrorCode::ModelCorrupt, format!("sizes contradict each other: {self:?}")));
        }
        if !within(self.mel_bins, 256) || 2 * self.audio_positions != WINDOW_FRAMES {
            return Err(Error::new(
                ErrorCode::ModelUnsupported,
                format!("encoder input is not 30 s of a log-mel spectrum: {self:?}"),
            ));
        }
        Ok(())
    }

    /// How many numbers the model holds.
    pub(super) fn parameters(&self) -> u64 {
        self.tensors().iter().map(|(_, dims)| dims.iter().product::<usize>() as u64).sum()
    }
}
