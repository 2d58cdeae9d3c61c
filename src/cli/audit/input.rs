//! The inputs: files, standard input, and gzip of either.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};

use anyhow::{Context, bail};
use flate2::bufread::GzDecoder;

use crate::cli::output::visible;

/// The first bytes of gzip (RFC 1952).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How much is read at once.
pub(super) const BUFFER: usize = 128 * 1024;

/// A reader of lines that can be moved to a thread.
pub(super) type Reader = Box<dyn BufRead + Send>;

/// The name of `input` in messages.
pub(super) fn name(input: &str) -> String {
    match input {
        "-" => "standard input".to_owned(),
        file => visible(file).into_owned(),
    }
}

/// The inputs of the arguments: standard input if there are none.
pub(super) fn inputs(arguments: &[String]) -> anyhow::Result<Vec<String>> {
    if !arguments.is_empty() {
        return Ok(arguments.to_vec());
    }
    if io::stdin().is_terminal() {
        bail!(
            "no records to read; name a file, or pipe podseal's log here: \
             kubectl logs -n podseal -l app.kubernetes.io/component=webhook --tail=-1 | podseal audit"
        );
    }
    Ok(vec!["-".to_owned()])
}

/// Opens `input`, `-` for standard input.
pub(super) fn open(input: &str) -> anyhow::Result<Reader> {
    if input == "-" {
        return decompressed(io::stdin());
    }
    let file = File::open(input).with_context(|| format!("cannot open {}", name(input)))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{0} is a folder; name its files: {0}/*.log", name(input));
    }
    decompressed(file).with_context(|| format!("cannot read {}", name(input)))
}

pub(super) fn decompressed(read: impl Read + Send + 'static) -> anyhow::Result<Reader> {
    let mut reader = BufReader::with_capacity(BUFFER, read);
    // A pipe may deliver one byte at first.
    let is_gzip = is_gzip(&mut reader)?;
    Ok(match is_gzip {
        true => Box::new(BufReader::with_capacity(
            BUFFER,
            Members(Some(GzDecoder::new(reader))),
        )),
        false => Box::new(reader),
    })
}

/// Whether `reader` begins like gzip, from its first read.
pub(super) fn is_gzip(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        match reader.fill_buf() {
            Ok(begin) => return Ok(begin.starts_with(GZIP)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads the members of a file of gzip, one after the other. Zeros may follow each, with
/// which some programs fill a block; gzip ignores them as well.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let ended = self.0.take().map(GzDecoder::into_inner);
            self.0 = ended.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

fn next_member<R: BufRead>(mut reader: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        match buffer.get(zeros) {
            None if buffer.is_empty() => return Ok(None),
            None => reader.consume(zeros),
            Some(first) if *first == GZIP[0] => {
                reader.consume(zeros);
                return Ok(Some(GzDecoder::new(reader)));
            }
            Some(_) => {
                let error = "what follows the compressed lines is not gzip; they are counted";
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
    }
}
