//! Why a namespace's labels cannot be known.

/// Why a namespace's labels cannot be known. Shown to the job's author, so it
/// names no host and quotes no error of the network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Not in the file.
    #[error("it is not in the file given with --namespaces")]
    NotInFile,
    /// The API server says there is none.
    #[error("the API server has no such namespace")]
    NotFound,
    /// The API server did not answer in time.
    #[error("the API server did not answer in time")]
    TimedOut,
    /// The API server could not be asked, or refused.
    #[error("the API server could not be reached")]
    Failed,
    /// Too many are being asked for already.
    #[error("too many namespaces are being looked up at once")]
    Busy,
}
