//! The inputs: files, standard input, and gzip of either.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};

use anyhow::{Context, bail};
use flate2::bufread::MultiGzDecoder;

use crate::cli::output::visible;

/// The first bytes of gzip (RFC 1952).
const GZIP: &[u8] = &[0x1f, 0x8b];
const BUFFER: usize = 128 * 1024;

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

fn decompressed(read: impl Read + Send + 'static) -> anyhow::Result<Reader> {
    let mut reader = BufReader::with_capacity(BUFFER, read);
    // A pipe may deliver one byte at first.
    let is_gzip = is_gzip(&mut reader)?;
    Ok(match is_gzip {
        true => Box::new(BufReader::with_capacity(
            BUFFER,
            MultiGzDecoder::new(reader),
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
