//! What a message to the author of a job must be: one line in a log, and no reason
//! for GitLab Runner to try again.

/// The longest sentence, in bytes.
pub const LONGEST: usize = 2500;
/// The longest warning that the API server does not truncate, in characters.
pub const LONGEST_WARNING: usize = 256;

/// The substrings on which GitLab Runner retries.
pub const RETRIED: [&str; 13] = [
    "error dialing backend",
    "TLS handshake timeout",
    "connection timed out",
    "Timeout occurred",
    "etcdserver: request timed out",
    "client connection lost",
    "connection refused",
    "tls: internal error",
    "unexpected EOF",
    "connection reset by peer",
    "software caused connection abort",
    "broken pipe",
    "exit status",
];

/// The first character that could break a line, obey a terminal, or turn the
/// text around.
pub fn strange(line: &str) -> Option<char> {
    let plain = |c: char| matches!(c, ' '..='~' | '…') || !c.is_ascii() && c.is_alphanumeric();
    line.chars().find(|&c| !plain(c))
}

/// Why `sentence` must not be in a job's log.
pub fn unfit(sentence: &str) -> Option<String> {
    if let Some(c) = strange(sentence) {
        return Some(format!("{c:?} in it"));
    }
    if sentence.ends_with('.') {
        return Some("the runner adds its own full stop".to_owned());
    }
    if sentence.len() >= LONGEST {
        return Some(format!("{} bytes", sentence.len()));
    }
    let phrase = RETRIED.iter().find(|&&phrase| sentence.contains(phrase))?;
    Some(format!("retried for {phrase:?}"))
}
