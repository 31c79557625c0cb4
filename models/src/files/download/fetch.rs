//! [`Fetcher`]: brings bytes from a source.

use super::{HttpFetcher, PackageFetcher, Part, Source};
use tertulia::Result;

/// Brings files from where they are. A host with a downloader of its own (in the background, behind a proxy, from its
/// own server) gives one to [`PullOptions::fetcher`](super::PullOptions::fetcher).
pub trait Fetcher: Send + Sync {
    /// Adds the rest of the file, from [`Part::len`] on, to `part`; or calls [`Part::restart`] and adds all of it.
    /// Size and hash are checked by the caller.
    ///
    /// # Errors
    /// [`ErrorCode::DownloadFailed`](tertulia::ErrorCode::DownloadFailed) where the source cannot give the file, and
    /// the next one is tried; those of [`Part::write`] and [`Part::report`].
    fn fetch(&self, source: &Source, part: &mut Part<'_>) -> Result<()>;
}

/// HTTP for addresses, pip and npm for packages. Remembers which hosts could not be reached, so make one for each pull.
#[derive(Debug, Default)]
pub struct DefaultFetcher {
    /// Fetches addresses.
    pub http: HttpFetcher,
    /// Fetches packages.
    pub packages: PackageFetcher,
}

impl Fetcher for DefaultFetcher {
    fn fetch(&self, source: &Source, part: &mut Part<'_>) -> Result<()> {
        match source {
            Source::Https { .. } => self.http.fetch(source, part),
            Source::Pip { .. } | Source::Npm { .. } => self.packages.fetch(source, part),
        }
    }
}
