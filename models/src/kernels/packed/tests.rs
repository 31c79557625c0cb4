//! Each way against plain sums, on all types and many shapes.
#![allow(unsafe_code, reason = "tasks write to columns of their own")]

use super::*;
use crate::gguf::dequantize;
use half::f16;

const QUANTISED: [GgmlType; 7] =
    [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q8_0, GgmlType::Q4K, GgmlType::Q5K, GgmlType::Q6K];

/// Rows of blocks of bytes that look random, or are all `fill`, with sane 16-bit floats where the type has such.
fn blocks(dtype: GgmlType, rows: usize, cols: usize, fill: Option<u8>) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(dtype.id()));
    let mut data = vec![0; dtype.tensor_bytes(&[rows, cols]).unwrap()];
    for block in data.chunks_exact_mut(dtype.block_bytes()) {
        block.iter_mut().for_each(|byte| *byte = fill.unwrap_or_else(|| random.u8(..)));
        let halves: &[usize] = match dtype {
            GgmlType::Q4_1 | GgmlType::Q4K | GgmlType::Q5K => &[0, 2],
            GgmlType::Q6K => &[208],
            _ => &[0],
        };
        for &at in halves {
            block[at..at + 2].copy_from_slice(&f16::from_f32(0.001 + 0.02 * random.f32()).to_le_bytes());
        }
    }
    data
}

/// All ways of this processor.
fn products<P: Packing>() -> Vec<Product> {
    simd::packed::products::<P>().chain([portable::product::<P> as Product]).collect()
}

fn all_products(dtype: GgmlType) -> Vec<Product> {
    match dtype {
        GgmlType::Q4_0 => products::<Q4_0>(),
        GgmlType::Q4_1 => products::<Q4_1>(),
        GgmlType::Q5_0 => products::<Q5_0>(),
        GgmlType::Q8_0 => products::<Q8_0>(),
        GgmlType::Q4K => products::<Q4K>(),
        GgmlType::Q5K => products::<Q5K>(),
        _ => products::<Q6K>(),
    }
}

/// Compares every way with sums of 64-bit floats.
fn compare(dtype: GgmlType, [rows, cols]: [usize; 2], count: usize, data: &[u8], x: &[f32]) {
    let tensor = TensorView { name: "weights", dtype, shape: &[rows, cols], data };
    let mut weights = vec![0.0; rows * cols];
    dequantize(dtype, data, &mut weights);
    let activations = Activations::quantise(x, cols, dtype.block_len());
    let all = activations.all();
    let exact = |row: usize, at: usize| {
        let x = all.quants[at * cols..][..cols].iter().enumerate();
        let x = x.map(|(col, quant)| f64::from(*quant) * f64::from(all.groups[(at * cols + col) / 32].scale));
        let products = x.zip(&weights[row * cols..]).map(|(x, weight)| x * f64::from(*weight));
        products.fold((0.0, 0.0), |(sum, size), product| (sum + product, size + product.abs()))
    };
    let mut row = vec![0.0; cols];
    for (at, weights) in weights.chunks_exact(cols).enumerate() {
        PackedMatrix::new(&tensor).unwrap().row(at, &mut row);
        let near = row.iter().zip(weights).all(|(ours, weight)| (ours - weight).abs() <= 1e-6 * weight.abs().max(1.0));
        assert!(near, "{dtype:?}, row {at}");
    }
    for product in all_products(dtype) {
        let mut matrix = PackedMatrix::new(&tensor).unwrap();
        matrix.ways.product = product;
        let mut out = vec![0.0; count * rows];
        let sum = Columns::new(&mut out, rows);
        for task in matrix.tasks(&activations) {
            // SAFETY: there is one thread.
            unsafe { matrix.multiply_add(task, &activations, sum) };
        }
        assert_eq!(out.len(), count * rows);
        for (place, ours) in out.iter().enumerate() {
            let (sum, size) = exact(place % rows, place / rows);
            let near = (f64::from(*ours) - sum).abs() <= 2e-6 * size + 1e-6;
            assert!(near, "{dtype:?} [{rows}, {cols}], {count} rows, at {place}: {ours}, not {sum}");
        }
    }
}

#[test]
fn every_way_gives_the_products() {
    let mut random = fastrand::Rng::with_seed(7);
    for dtype in QUANTISED {
        for (rows, blocks_a_row, count) in [(1, 1, 1), (16, 3, 2), (37, 5, 3), (64, 2, 5), (17, 7, 13), (5, 1, 24)] {
            let cols = blocks_a_row * dtype.block_len();
            let x: Vec<f32> = (0..count * cols).map(|_| random.f32() * 4.0 - 2.0).collect();
            compare(dtype, [rows, cols], count, &blocks(dtype, rows, cols, None), &x);
        }
    }
}

#[test]
fn extreme_bytes_do_not_overflow() {
    for dtype in QUANTISED {
        for fill in [0x00, 0x7f, 0x80, 0xff] {
            for sign in [1.0, -1.0] {
                let data = blocks(dtype, 16, 256, Some(fill));
                compare(dtype, [16, 256], 3, &data, &[sign; 3 * 256]);
            }
        }
    }
}
