//! [`Device`]: where a model computes.

/// Where a model's tensors lie and are computed. There is one place today, so that most callers write
/// `Default::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Device {
    /// The processor, with as many threads as the process may use.
    #[default]
    Cpu,
}

#[cfg(feature = "burn")]
impl Device {
    /// The tensor library's name for it.
    pub(crate) fn of_tensors(self) -> burn::tensor::Device {
        match self {
            Self::Cpu => burn::tensor::Device::flex(),
        }
    }
}
