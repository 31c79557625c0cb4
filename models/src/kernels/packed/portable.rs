//! Products of panels in plain Rust, for every processor.

use super::{PANEL, Packing, UNIT, UNIT_LEN, UNITS};
use crate::kernels::activations::{ActivationRows, GROUP};
use half::f16;

pub(super) fn product<P: Packing>(panel: &[u8], x: ActivationRows<'_>, out: &mut [[f32; PANEL]]) {
    out.fill([0.0; PANEL]);
    let mut quants = [[0u8; UNIT_LEN]; UNITS];
    for (block_at, block) in panel.chunks_exact(P::BLOCK_BYTES).enumerate() {
        for group in 0..P::GROUPS {
            unpack::<P>(&block[P::QUANTS_AT + group * P::GROUP_BYTES..][..P::GROUP_BYTES], &mut quants);
            for (row, out) in out.iter_mut().enumerate() {
                let x_at = row * (x.cols / GROUP) + block_at * P::GROUPS + group;
                let x_quants = &x.quants[x_at * GROUP..][..GROUP];
                for part in 0..P::PARTS {
                    let units = part * UNITS / P::PARTS..(part + 1) * UNITS / P::PARTS;
                    let sums = sums::<P>(&quants, x_quants, units);
                    for (lane, (out, sum)) in out.iter_mut().zip(sums).enumerate() {
                        *out += sum as f32 * (scale::<P>(block, group * P::PARTS + part, lane) * x.groups[x_at].scale);
                    }
                }
                if P::MINS {
                    for (lane, out) in out.iter_mut().enumerate() {
                        *out -= min::<P>(block, group, lane) * x.groups[x_at].sum;
                    }
                }
            }
        }
    }
}

/// Writes row `lane` of a panel as floats.
pub(super) fn row<P: Packing>(panel: &[u8], lane: usize, out: &mut [f32]) {
    let mut quants = [[0u8; UNIT_LEN]; UNITS];
    for (block, out) in panel.chunks_exact(P::BLOCK_BYTES).zip(out.chunks_exact_mut(P::DTYPE.block_len())) {
        for (group, out) in out.chunks_exact_mut(GROUP).enumerate() {
            unpack::<P>(&block[P::QUANTS_AT + group * P::GROUP_BYTES..][..P::GROUP_BYTES], &mut quants);
            for (at, out) in out.iter_mut().enumerate() {
                let quant = i32::from(quants[at / UNIT][lane * UNIT + at % UNIT]) - P::ZERO;
                let part = at * P::PARTS / GROUP;
                *out = scale::<P>(block, group * P::PARTS + part, lane) * quant as f32 - min::<P>(block, group, lane);
            }
        }
    }
}

fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The scale of a row's part of a group.
fn scale<P: Packing>(block: &[u8], part: usize, lane: usize) -> f32 {
    let factor = if P::HAS_PARTS {
        let byte = block[P::PARTS_AT + part * PANEL + lane];
        if P::SIGNED { f32::from(byte as i8) } else { f32::from(byte) }
    } else {
        1.0
    };
    half(block, lane * 2) * factor
}

/// The minimum of a row's group, which is subtracted.
fn min<P: Packing>(block: &[u8], group: usize, lane: usize) -> f32 {
    if !P::MINS {
        return 0.0;
    }
    let factor = if P::HAS_PARTS { f32::from(block[P::MIN_PARTS_AT + group * PANEL + lane]) } else { 1.0 };
    half(block, 2 * PANEL + lane * 2) * factor
}

/// The sums of the products of some units, one for each row of the panel.
fn sums<P: Packing>(quants: &[[u8; UNIT_LEN]; UNITS], x: &[i8], units: std::ops::Range<usize>) -> [i32; PANEL] {
    let mut sums = [0i32; PANEL];
    for unit in units {
        let x = &x[unit * UNIT..][..UNIT];
        for (sum, quants) in sums.iter_mut().zip(quants[unit].as_chunks::<UNIT>().0) {
            *sum += quants.iter().zip(x).map(|(w, x)| (i32::from(*w) - P::ZERO) * i32::from(*x)).sum::<i32>();
        }
    }
    sums
}

/// The quants of a group.
fn unpack<P: Packing>(group: &[u8], quants: &mut [[u8; UNIT_LEN]; UNITS]) {
    for (unit, quants) in quants.iter_mut().enumerate() {
        if P::BITS == 8 {
            quants.copy_from_slice(&group[unit * UNIT_LEN..][..UNIT_LEN]);
            continue;
        }
        let low = &group[unit / 2 * UNIT_LEN..][..UNIT_LEN];
        for (at, (quant, low)) in quants.iter_mut().zip(low).enumerate() {
            *quant = low >> (unit % 2 * 4) & 15;
            for plane in 0..P::PLANES {
                let byte = group[P::LOW_BYTES + plane * P::PLANE_BYTES + unit * UNIT_LEN / 8 + at / 8];
                *quant |= (byte >> (at % 8) & 1) << (4 + plane);
            }
        }
    }
}
