//! `podseal audit`: what the records of decisions say.
//!
//! | file | what it does |
//! |---|---|
//! | `input`, `follow` | files, standard input, gzip, and files that grow |
//! | `lines`, `container_log`, `record` | lines of bounded length, the JSON in them, and the record in that |
//! | `filter` | which records are read, and which are listed |
//! | `summary`, `groups`, `timeline` | counts, in bounded memory |
//! | `text`, `json`, `row` | the output |
//!
//! Everything in a record is untrusted, also in a line that is only like one.

mod container_log;
mod filter;
mod follow;
mod groups;
mod input;
mod json;
mod lines;
mod record;
mod row;
mod summary;
mod text;
mod timeline;

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};

use self::container_log::{PartialLines, record_in};
use self::filter::Filter;
use self::follow::follow;
use self::input::Reader;
use self::lines::Lines;
use self::record::Record;
use self::row::Row;
use self::summary::Summary;
use super::output::{ERROR, UNUSABLE, WARNED};

pub(super) const LONG_ABOUT: &str = "\
Summarize the records of decisions in podseal's log: what was rejected, whose it was, by which \
control, and since when.

Reads files, or standard input, plain or compressed by gzip: what `kubectl logs` prints, also with \
--prefix or --timestamps, log files of containerd, CRI-O and Docker, and lines of log collectors \
that contain a record. Lines without a record are counted. A request has a record of each webhook \
and is counted once; dry runs are not counted.";

const EXAMPLES: &str = "\
Examples:
  # Show what was rejected since podseal's last rollout
  kubectl logs -n podseal -l app.kubernetes.io/component=webhook --tail=-1 | podseal audit

  # Show what mode audit would have denied in the namespace ci this week
  podseal audit -n ci --since 7d podseal.log podseal.log.1.gz

  # Show who ran privileged pods, as CSV
  podseal audit --control privileged -o csv podseal.log > privileged.csv

  # Print denials as they happen; Ctrl-C prints the summary
  kubectl logs -n podseal -l app.kubernetes.io/component=webhook -f | podseal audit --follow

Exit code: 0 also when requests were rejected, 2 when an input cannot be read.";

const WRITE: &str = "cannot write to standard output";

/// Arguments of `podseal audit`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    /// Files to read, or - for standard input [default: standard input]
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Print each listed request as it is recorded, and the summary at the end
    ///
    /// Follows one file, also when it is rotated or truncated, or standard input.
    #[arg(short, long)]
    follow: bool,
    /// Output format: the summary as text or as one JSON object, or the listed requests as CSV
    ///
    /// With --follow, json prints the listed requests, one object per line.
    #[arg(short, long, value_enum, default_value = "text")]
    output: AuditFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum AuditFormat {
    Text,
    Json,
    Csv,
}

/// The summary of what was read, and where rows go.
struct Audit<W = Box<dyn Write + Send>> {
    filter: Filter,
    format: AuditFormat,
    is_following: bool,
    summary: Summary,
    out: W,
}

/// Runs the command.
pub fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let inputs = input::inputs(&args.files)?;
    let follows = match (args.follow, &inputs[..]) {
        (false, _) => None,
        (true, [input]) => Some(input.clone()),
        (true, _) => bail!("--follow reads one file; {} are named", inputs.len()),
    };
    let out: Box<dyn Write + Send> = match args.output {
        AuditFormat::Text => Box::new(anstream::stdout()),
        _ => Box::new(std::io::BufWriter::new(std::io::stdout())),
    };
    let mut audit = Audit::new(args, out);
    audit.begin()?;
    match follows {
        Some(input) => follow(audit, &input),
        None => {
            let mut code = ExitCode::SUCCESS;
            for input in &inputs {
                let read = input::open(input).and_then(|reader| audit.read_all(reader, input));
                match read {
                    Ok(()) => {}
                    Err(error) if super::is_broken_pipe(&error) => return Err(error),
                    // The other files are read, as by grep.
                    Err(error) => {
                        anstream::eprintln!("{ERROR}error:{ERROR:#} {error:#}");
                        code = ExitCode::from(UNUSABLE);
                    }
                }
            }
            print_notes(&audit.finish()?);
            Ok(code)
        }
    }
}

/// What the command prints to standard output for this log, plain or compressed.
///
/// # Errors
/// The log cannot be read.
pub fn summarize(args: AuditArgs, log: impl Read + Send + 'static) -> anyhow::Result<Vec<u8>> {
    let mut audit = Audit::new(args, Vec::new());
    audit.begin()?;
    audit.read_all(input::decompressed(log)?, "-")?;
    audit.finish()?;
    Ok(audit.out)
}

fn print_notes(notes: &[String]) {
    for note in notes {
        anstream::eprintln!("{WARNED}note:{WARNED:#} {note}");
    }
}

fn read_lines(
    reader: Reader,
    input: &str,
    mut each: impl FnMut(&[u8], &mut PartialLines) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut lines = Lines::new(reader);
    let mut parts = PartialLines::default();
    let failed = || format!("cannot read {}", input::name(input));
    while let Some(line) = lines.next().with_context(failed)? {
        each(line, &mut parts)?;
    }
    Ok(())
}

impl<W: Write> Audit<W> {
    fn new(args: AuditArgs, out: W) -> Audit<W> {
        Audit {
            filter: args.filter,
            format: args.output,
            is_following: args.follow,
            summary: Summary::new(),
            out,
        }
    }

    /// Prints what comes before any record.
    fn begin(&mut self) -> anyhow::Result<()> {
        if self.format == AuditFormat::Csv {
            self.print(row::CSV_HEADER)?;
            self.out.flush().context(WRITE)?;
        }
        Ok(())
    }

    fn read_all(&mut self, reader: Reader, input: &str) -> anyhow::Result<()> {
        read_lines(reader, input, |line, parts| self.read(line, parts))
    }

    /// Reads a line: its record, if it has one.
    fn read(&mut self, line: &[u8], parts: &mut PartialLines) -> anyhow::Result<()> {
        let Some(line) = parts.whole(line) else {
            return Ok(());
        };
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let uncounted = &mut self.summary.uncounted;
        let Some(json) = record_in(&line) else {
            uncounted.other_lines += 1;
            return Ok(());
        };
        let Some(record) = Record::parse(&json) else {
            uncounted.unreadable += 1;
            return Ok(());
        };
        let Some(outcome) = self.summary.count(&record, &self.filter) else {
            return Ok(());
        };
        let row = || Row::new(&record, outcome);
        match (self.format, self.is_following) {
            (AuditFormat::Csv, _) => self.print(&row().csv())?,
            (AuditFormat::Json, true) => {
                let json = serde_json::to_string(&row())?;
                self.print(&format!("{json}\n"))?;
            }
            (AuditFormat::Text, true) => self.print(&row::line(&record, outcome))?,
            (AuditFormat::Text | AuditFormat::Json, false) => return Ok(()),
        }
        match self.is_following {
            true => self.out.flush().context(WRITE),
            false => Ok(()),
        }
    }

    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.out.write_all(text.as_bytes()).context(WRITE)
    }

    /// Prints the summary. Returns the notes that are not part of it.
    fn finish(&mut self) -> anyhow::Result<Vec<String>> {
        let summary = &self.summary;
        match (self.format, self.is_following) {
            (AuditFormat::Text, is_following) if summary.records > 0 => {
                let gap = if is_following { "\n" } else { "" };
                let text = text::text(summary, &self.filter, text::width());
                self.print(&format!("{gap}{text}"))?;
            }
            (AuditFormat::Json, false) => {
                json::write_json(summary, &mut self.out).context(WRITE)?;
            }
            _ => {}
        }
        self.out.flush().context(WRITE)?;
        Ok(match self.format {
            AuditFormat::Text if self.summary.records > 0 => Vec::new(),
            _ => text::notes(&self.summary),
        })
    }
}
