//! Transformer layers in 32-bit floats: products with a weight matrix, attention, GELU, layer norm.

mod attention;
mod layer;
mod matrix;

pub(crate) use attention::KvRows;
pub(crate) use layer::{AttentionColumns, DenseLayer, LayerNorm, attend, attend_causal};
pub(crate) use matrix::DenseMatrix;

#[cfg(test)]
mod tests {
    use super::attention::Attention;
    use super::matrix::DenseMatrix;
    use crate::kernels::maths::{gelu, layer_norm};
    use crate::kernels::view::{FEW_ROWS, View};

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
