//! Why a namespace cannot be looked up.

/// Why a namespace cannot be looked up. The job's author sees it, so it contains no
/// host name and no network error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Not in the file.
    #[error("it is not in the file given with --namespaces")]
    NotInFile,
    /// It does not exist.
    #[error("the API server has no such namespace")]
    NotFound,
    /// The API server did not answer in time.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// The API server could not be reached, or denied the request.
    #[error("the API server could not be reached")]
    Failed,
    /// The API server answered with an object that has changed since, as a replica of it
    /// that lags does.
    #[error("the API server's answer is out of date")]
    Outdated,
    /// Too many look-ups wait already.
    #[error("too many namespaces are being looked up at once")]
    Busy,
}
