//! Lines of bounded length.

use std::io::{self, BufRead};

/// The length of a line in bytes. A record is shorter than 16 KiB; a log collector that
/// keeps it as a string in JSON of its own makes it a few times longer.
const LONGEST: usize = 128 * 1024;

/// Reads lines, and keeps no more of a longer one than [`LONGEST`].
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Lines<R> {
        Lines {
            reader,
            line: Vec::new(),
        }
    }

    /// The next line without its end, or `None` at the end. The beginning of a line
    /// that is too long stands for it: it is no complete record.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut is_line = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(is_line.then_some(&self.line));
            }
            is_line = true;
            let end = memchr::memchr(b'\n', buffer);
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let used = part.len() + usize::from(end.is_some());
            // A file that was truncated while its writer kept its place begins with a hole.
            let hole = match self.line.is_empty() {
                true => part.iter().take_while(|byte| **byte == 0).count(),
                false => 0,
            };
            let part = &part[hole..];
            let room = LONGEST - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(&self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_before_a_line_is_none_of_it() {
        let text = format!("{}first\n\0\0\nla\0st", "\0".repeat(3 * LONGEST));
        let mut lines = Lines::new(text.as_bytes());
        let mut next = || lines.next().expect("readable").map(<[u8]>::to_vec);
        assert_eq!(next().as_deref(), Some(&b"first"[..]));
        assert_eq!(next().as_deref(), Some(&b""[..]));
        assert_eq!(next().as_deref(), Some(&b"la\0st"[..]));
        assert_eq!(next(), None);
    }

    #[test]
    fn lines_are_bounded_and_the_next_line_is_whole() {
        let long = "x".repeat(3 * LONGEST);
        let text = format!("first\n\n{long}\nlast");
        // A small buffer, so that lines span several reads.
        let mut lines = Lines::new(io::BufReader::with_capacity(7, text.as_bytes()));
        let mut next = || lines.next().expect("readable").map(<[u8]>::to_vec);
        assert_eq!(next().as_deref(), Some(&b"first"[..]));
        assert_eq!(next().as_deref(), Some(&b""[..]));
        assert_eq!(next().map(|line| line.len()), Some(LONGEST));
        assert_eq!(next().as_deref(), Some(&b"last"[..]));
        assert_eq!(next(), None);
    }
}
