//! Reads JSON as it arrives, and keeps only what is requested.
//!
//! A namespace can have megabytes that podseal does not use; JSON escapes take up to six
//! bytes per byte. serde_json reads from memory or blocks a thread, and buffers whole
//! keys. This reader is asynchronous, and buffers at most one chunk of the response and
//! one string of limited length.
//!
//! Of skipped values, it checks only strings and brackets, to find their end. So a
//! truncated response is never taken for a complete one. serde_json parses what is kept.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// The longest key that is kept: Kubernetes allows 253 bytes, a slash and 63 bytes.
const KEY: usize = 320;
/// The longest number that is kept.
const SCALAR: usize = 32;

/// Why a response cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("the API server sent no data in time")]
    Stalled,
    #[error("the connection broke")]
    Connection(#[source] io::Error),
    #[error("the response is truncated")]
    Cut,
    #[error("the response cannot be read: {0}")]
    Invalid(&'static str),
}

/// The body of a response.
type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Send>>;

/// A response that is being read.
pub(crate) struct JsonStream {
    chunks: Chunks,
    chunk: Bytes,
    /// The timeout of the next bytes.
    patience: Duration,
    /// Whether a line break within a value is an error, so that the line after a truncated
    /// one is not read as its rest.
    one_line: bool,
    taken: u64,
}

/// The position in an object or an array, between two members.
pub(crate) struct Members {
    close: u8,
    first: bool,
    /// Whether there are no more members, or the value is `null`.
    none: bool,
}

/// A string, or none if it is longer than the limit.
pub(crate) type BoundedText = Option<String>;

impl JsonStream {
    /// Reads `chunks`, each of which may take up to `patience`.
    pub(crate) fn new<S, E>(chunks: S, patience: Duration) -> JsonStream
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        JsonStream {
            chunks: Box::pin(chunks.map(|chunk| chunk.map_err(Into::into))),
            chunk: Bytes::new(),
            patience,
            one_line: false,
            taken: 0,
        }
    }

    /// Requires that each value is on one line.
    pub(crate) fn of_lines(self) -> JsonStream {
        JsonStream {
            one_line: true,
            ..self
        }
    }

    /// The number of bytes read.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Waits for the next value. Returns false at the end of the response.
    pub(crate) async fn begins(&mut self) -> Result<bool, StreamError> {
        loop {
            let space = self
                .chunk
                .iter()
                .take_while(|byte| is_space(**byte))
                .count();
            self.consume(space);
            if !self.chunk.is_empty() {
                return Ok(true);
            }
            if !self.fill().await? {
                return Ok(false);
            }
        }
    }

    /// Enters an object. One that is `null` has no members.
    pub(crate) async fn object(&mut self) -> Result<Members, StreamError> {
        self.enter(b'{', b'}').await
    }

    /// Enters an array. One that is `null` has no members.
    pub(crate) async fn array(&mut self) -> Result<Members, StreamError> {
        self.enter(b'[', b']').await
    }

    async fn enter(&mut self, open: u8, close: u8) -> Result<Members, StreamError> {
        let none = self.is_null().await?;
        if !none && self.next_byte().await? != open {
            return Err(StreamError::Invalid("an object or an array is missing"));
        }
        Ok(Members {
            close,
            first: true,
            none,
        })
    }

    /// Whether there is another member, which must then be read or skipped.
    pub(crate) async fn has_next(&mut self, members: &mut Members) -> Result<bool, StreamError> {
        if members.none {
            return Ok(false);
        }
        let first = std::mem::take(&mut members.first);
        let byte = self.peek().await?;
        if byte == members.close {
            self.consume(1);
            members.none = true;
            return Ok(false);
        }
        match (first, byte) {
            (true, _) => Ok(true),
            (false, b',') => {
                self.consume(1);
                Ok(true)
            }
            (false, _) => Err(StreamError::Invalid("a comma is missing")),
        }
    }

    /// The key of the next member; empty if it is longer than any key of Kubernetes.
    pub(crate) async fn next_key(
        &mut self,
        members: &mut Members,
    ) -> Result<Option<String>, StreamError> {
        if !self.has_next(members).await? {
            return Ok(None);
        }
        let key = self.string(KEY).await?.unwrap_or_default();
        match self.next_byte().await? {
            b':' => Ok(Some(key)),
            _ => Err(StreamError::Invalid("a colon is missing")),
        }
    }

    /// A string of at most `most` bytes. `null` is an empty string, as for the API server.
    pub(crate) async fn text(&mut self, most: usize) -> Result<BoundedText, StreamError> {
        if self.is_null().await? {
            return Ok(Some(String::new()));
        }
        self.string(most).await
    }

    /// A string for which more than `most` bytes are an error.
    pub(crate) async fn short_text(&mut self, most: usize) -> Result<String, StreamError> {
        let text = self.text(most).await?;
        text.ok_or(StreamError::Invalid("a value is too long"))
    }

    async fn string(&mut self, most: usize) -> Result<BoundedText, StreamError> {
        if self.next_byte().await? != b'"' {
            return Err(StreamError::Invalid("a string is missing"));
        }
        // JSON escapes take up to six bytes per byte.
        let most_raw = most * 6 + 2;
        let mut raw = Some(vec![b'"']);
        let mut scan = Scan::of_string();
        let mut ended = false;
        while !ended {
            self.filled().await?;
            let consumed;
            (consumed, ended) = scan.run(&self.chunk, self.one_line)?;
            raw = raw.filter(|raw| raw.len() + consumed <= most_raw);
            if let Some(raw) = &mut raw {
                raw.extend_from_slice(&self.chunk[..consumed]);
            }
            self.consume(consumed);
        }
        let text: BoundedText = raw.map(|raw| parsed(&raw)).transpose()?;
        Ok(text.filter(|text| text.len() <= most))
    }

    /// A number.
    pub(crate) async fn number(&mut self) -> Result<u16, StreamError> {
        self.peek().await?;
        let mut raw = Vec::new();
        loop {
            // A response never ends with a number.
            self.filled().await?;
            let is_part = |byte: &&u8| !is_space(**byte) && !matches!(byte, b',' | b']' | b'}');
            let part = self.chunk.iter().take_while(is_part).count();
            if raw.len() + part > SCALAR {
                return Err(StreamError::Invalid("a value is too long"));
            }
            raw.extend_from_slice(&self.chunk[..part]);
            self.consume(part);
            if !self.chunk.is_empty() {
                return parsed(&raw);
            }
        }
    }

    /// Skips a value of any length and depth.
    pub(crate) async fn skip(&mut self) -> Result<(), StreamError> {
        let mut scan = match self.peek().await? {
            b'"' => {
                self.consume(1);
                Scan::of_string()
            }
            b'{' | b'[' => Scan::default(),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => return self.skip_word().await,
            _ => return Err(StreamError::Invalid("a value is missing")),
        };
        let mut ended = false;
        while !ended {
            self.filled().await?;
            let consumed;
            (consumed, ended) = scan.run(&self.chunk, self.one_line)?;
            self.consume(consumed);
        }
        Ok(())
    }

    async fn skip_word(&mut self) -> Result<(), StreamError> {
        loop {
            self.filled().await?;
            let is_part =
                |byte: &&u8| matches!(byte, b'-' | b'+' | b'.') || byte.is_ascii_alphanumeric();
            let part = self.chunk.iter().take_while(is_part).count();
            self.consume(part);
            if !self.chunk.is_empty() {
                return Ok(());
            }
        }
    }

    async fn is_null(&mut self) -> Result<bool, StreamError> {
        let null = self.peek().await? == b'n';
        if null {
            self.skip_word().await?;
        }
        Ok(null)
    }

    /// The next byte that is not a space, without consuming it.
    async fn peek(&mut self) -> Result<u8, StreamError> {
        loop {
            self.filled().await?;
            let space = |byte: &&u8| is_space(**byte) && !(self.one_line && **byte == b'\n');
            let spaces = self.chunk.iter().take_while(space).count();
            self.consume(spaces);
            match self.chunk.first() {
                None => {}
                Some(b'\n') => return Err(StreamError::Invalid("a line ends within a value")),
                Some(byte) => return Ok(*byte),
            }
        }
    }

    async fn next_byte(&mut self) -> Result<u8, StreamError> {
        let byte = self.peek().await?;
        self.consume(1);
        Ok(byte)
    }

    fn consume(&mut self, bytes: usize) {
        let _ = self.chunk.split_to(bytes);
        self.taken += bytes as u64;
    }

    /// Waits for bytes. The end of the response is an error.
    async fn filled(&mut self) -> Result<(), StreamError> {
        match self.fill().await? {
            true => Ok(()),
            false => Err(StreamError::Cut),
        }
    }

    async fn fill(&mut self) -> Result<bool, StreamError> {
        while self.chunk.is_empty() {
            let chunk = timeout(self.patience, self.chunks.next()).await;
            match chunk.map_err(|_| StreamError::Stalled)? {
                None => return Ok(false),
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(StreamError::Connection(io::Error::other(error))),
            }
        }
        Ok(true)
    }
}

/// Finds the end of a value.
#[derive(Debug, Default)]
struct Scan {
    /// The number of open objects and arrays.
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Starts within a string.
    fn of_string() -> Scan {
        Scan {
            in_string: true,
            ..Scan::default()
        }
    }

    /// Scans `chunk`. Returns how much of it belongs to the value, and whether the value
    /// ends there.
    fn run(&mut self, chunk: &[u8], one_line: bool) -> Result<(usize, bool), StreamError> {
        for (index, byte) in chunk.iter().enumerate() {
            if self.in_string {
                match *byte {
                    0..0x20 => return Err(StreamError::Invalid("a line ends within a string")),
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match *byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    b'\n' if one_line => {
                        return Err(StreamError::Invalid("a line ends within a value"));
                    }
                    _ => {}
                }
            }
            if self.depth == 0 && !self.in_string {
                return Ok((index + 1, true));
            }
        }
        Ok((chunk.len(), false))
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn parsed<T: DeserializeOwned>(raw: &[u8]) -> Result<T, StreamError> {
    serde_json::from_slice(raw).map_err(|_| StreamError::Invalid("a value has the wrong type"))
}
