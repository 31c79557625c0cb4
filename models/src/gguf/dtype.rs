//! [`GgmlType`]: how a tensor's elements are stored.

/// How a tensor's elements are stored: plain numbers, or blocks that share scales along the innermost dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GgmlType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 32 elements of 4 bits, one scale.
    Q4_0,
    /// 32 elements of 4 bits, one scale and one minimum.
    Q4_1,
    /// 32 elements of 5 bits, one scale.
    Q5_0,
    /// 32 elements of 8 bits, one scale.
    Q8_0,
    /// 256 elements of 4 bits in 8 groups, each with a 6-bit scale and a 6-bit minimum.
    Q4K,
    /// 256 elements of 5 bits in 8 groups, each with a 6-bit scale and a 6-bit minimum.
    Q5K,
    /// 256 elements of 6 bits in 16 groups, each with an 8-bit scale.
    Q6K,
    /// 8-bit integers.
    I8,
    /// 32-bit integers.
    I32,
}

impl GgmlType {
    /// Every type that is known here.
    pub const ALL: [GgmlType; 11] = [
        Self::F32,
        Self::F16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::I8,
        Self::I32,
    ];

    /// The type with ggml's number for it.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.id() == id)
    }

    /// ggml's number for the type.
    pub const fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q5K => 13,
            Self::Q6K => 14,
            Self::I8 => 24,
            Self::I32 => 26,
        }
    }

    /// Elements of one block; 1 for plain numbers.
    pub const fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::I8 | Self::I32 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 | Self::I32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of a tensor of this shape (outermost dimension first); `None` where the innermost dimension is no
    /// whole number of blocks or the size does not fit a `usize`.
    pub fn tensor_bytes(self, shape: &[usize]) -> Option<usize> {
        let row_len = shape.last().copied().unwrap_or(1);
        if !row_len.is_multiple_of(self.block_len()) {
            return None;
        }
        let elements = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
        (elements / self.block_len()).checked_mul(self.block_bytes())
    }
}
