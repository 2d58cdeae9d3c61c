//! A page of the book, as its commands.
//!
//! | before a fenced block | means |
//! |---|---|
//! | `<!-- not run: REASON -->` | these commands cannot run here |
//! | `<!-- exit N -->` | they are meant to end with this code |
//! | `<!-- serves -->` | the last of them runs until the reader ends it |
//! | `<!-- output -->` | this is what the commands before it print |
//! | `<!-- setup: COMMAND -->`, anywhere | needed here, and not by a reader |

/// What a page has its reader do, in order.
pub enum Step {
    /// Run these commands.
    Run {
        /// The line of the page they begin at.
        line: usize,
        /// The commands.
        script: String,
        /// The code they end with.
        exit: i32,
        /// What they print, where the page shows it.
        output: Option<String>,
    },
    /// Start these commands, which go on running.
    Serve {
        /// The line of the page they begin at.
        line: usize,
        /// The commands.
        script: String,
    },
    /// Commands that the page says cannot be run, or text in a language.
    Shown(Block),
}

/// A fenced block.
pub struct Block {
    /// The line of the page it begins at.
    pub line: usize,
    /// What its fence says: `sh`, `yaml`.
    pub language: String,
    /// Its text, without the fence's own indentation.
    pub text: String,
    /// The comment directly before it.
    note: Option<String>,
}

/// The steps of a page, or what is wrong with it.
pub fn steps(markdown: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for piece in pieces(markdown) {
        let block = match piece {
            Piece::Setup(line, script) => {
                let output = None;
                steps.push(Step::Run {
                    line,
                    script,
                    exit: 0,
                    output,
                });
                continue;
            }
            Piece::Block(block) => block,
        };
        let line = block.line;
        match (block.language.as_str(), block.note.as_deref()) {
            ("", _) => return Err(format!("line {line}: a block without a language")),
            (_, Some("output")) => match steps.last_mut() {
                Some(Step::Run { output, .. }) if output.is_none() => *output = Some(block.text),
                _ => return Err(format!("line {line}: an output without commands before it")),
            },
            ("sh", note) => match note.map(|note| note.split_once(' ').unwrap_or((note, ""))) {
                Some(("not", reason)) if reason.len() > "run: ".len() => {
                    steps.push(Step::Shown(block));
                }
                Some(("serves", "")) => {
                    let script = block.text;
                    steps.push(Step::Serve { line, script });
                }
                Some(("exit", code)) => {
                    let exit = code.parse();
                    let exit = exit.map_err(|_| format!("line {line}: exit {code}?"))?;
                    let (script, output) = (block.text, None);
                    steps.push(Step::Run {
                        line,
                        script,
                        exit,
                        output,
                    });
                }
                None => {
                    let (script, output) = (block.text, None);
                    steps.push(Step::Run {
                        line,
                        script,
                        exit: 0,
                        output,
                    });
                }
                Some(_) => {
                    let note = note.unwrap_or_default();
                    return Err(format!("line {line}: what is `<!-- {note} -->`?"));
                }
            },
            _ => steps.push(Step::Shown(block)),
        }
    }
    Ok(steps)
}

enum Piece {
    Setup(usize, String),
    Block(Block),
}

fn pieces(markdown: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut note: Option<String> = None;
    let mut lines = (1..).zip(markdown.lines());
    while let Some((line, text)) = lines.next() {
        let trimmed = text.trim_start();
        if let Some(comment) = comment(trimmed) {
            match comment.strip_prefix("setup: ") {
                Some(script) => pieces.push(Piece::Setup(line, script.to_owned())),
                None => note = Some(comment.to_owned()),
            }
        } else if let Some(language) = trimmed.strip_prefix("```") {
            let indent = text.len() - trimmed.len();
            let block: Vec<&str> = lines
                .by_ref()
                .map(|(_, text)| text)
                .take_while(|text| !text.trim_start().starts_with("```"))
                .map(|text| text.get(indent..).unwrap_or_default())
                .collect();
            pieces.push(Piece::Block(Block {
                line,
                language: language.to_owned(),
                text: block.join("\n") + "\n",
                note: note.take(),
            }));
        } else if !trimmed.is_empty() {
            note = None;
        }
    }
    pieces
}

fn comment(line: &str) -> Option<&str> {
    Some(line.strip_prefix("<!--")?.strip_suffix("-->")?.trim())
}

/// Whether `printed` is what the page shows, where `…` stands for whatever is in
/// its place in the line, and a line that is `…` alone for any lines.
pub fn shows(shown: &str, printed: &str) -> bool {
    let shown: Vec<&str> = shown.trim_end().lines().collect();
    let printed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
    lines_match(&shown, &printed)
}

fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, shown)), _) if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| lines_match(shown, &printed[skipped..]))
        }
        (Some((first, shown)), Some((line, printed))) => {
            line_matches(first.trim_end(), line) && lines_match(shown, printed)
        }
        _ => false,
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((start, rest)) = shown.split_once('…') else {
        return shown == printed;
    };
    let Some(printed) = printed.strip_prefix(start) else {
        return false;
    };
    let ends = printed
        .char_indices()
        .map(|(at, _)| at)
        .chain([printed.len()]);
    ends.into_iter()
        .any(|end| line_matches(rest, &printed[end..]))
}
