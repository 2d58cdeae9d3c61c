//! A page of the book, as its commands.
//!
//! | before a fenced block | means |
//! |---|---|
//! | `<!-- not run: REASON -->` | no test runs these commands |
//! | `<!-- on a node -->` | they need a kubelet, so only `tests/e2e/book.rs` runs them |
//! | `<!-- on a node; WORD: COMMAND -->` | the same, with what COMMAND prints in place of WORD |
//! | `<!-- exit N -->` | they are meant to end with this code |
//! | `<!-- serves -->` | the last of them runs until the reader ends it |
//! | `<!-- output -->` | this is what the commands before it print |
//!
//! | anywhere | means |
//! |---|---|
//! | `<!-- prints: TEXT -->` | the commands before it print this, which the page does not show |
//! | `<!-- setup: COMMAND -->` | needed here, and not by a reader |
//! | `<!-- setup on a node: COMMAND -->` | the same, where there is a kubelet |

/// A step of a page: commands to run, a server to start, or a block that is only shown.
pub enum Step {
    /// Run these commands.
    Run(Commands),
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

/// Commands that end.
pub struct Commands {
    /// The line of the page they begin at.
    pub line: usize,
    /// The commands.
    pub script: String,
    /// The code they end with.
    pub exit: i32,
    /// Whether they need a kubelet.
    pub on_a_node: bool,
    /// A word that the page leaves to its reader, and the command that prints what
    /// takes its place.
    pub word: Option<(String, String)>,
    /// What they print, where the page says it.
    pub output: Option<String>,
}

impl Commands {
    fn new(line: usize, script: String) -> Commands {
        Commands {
            line,
            script,
            exit: 0,
            on_a_node: false,
            word: None,
            output: None,
        }
    }

    /// How these commands' exit code, and all that they printed, differ from the page.
    pub fn check(&self, code: Option<i32>, printed: &str) -> Result<(), String> {
        let Commands {
            line, script, exit, ..
        } = self;
        if code != Some(*exit) {
            return Err(format!(
                "line {line}: exit {code:?}, not {exit}:\n{script}{printed}"
            ));
        }
        match &self.output {
            Some(shown) if !shows(shown, printed) => Err(format!(
                "line {line}: the page shows\n{shown}\nand this is printed:\n{printed}"
            )),
            _ => Ok(()),
        }
    }
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
        match piece {
            Piece::Setup {
                line,
                on_a_node,
                script,
            } => steps.push(Step::Run(Commands {
                on_a_node,
                ..Commands::new(line, script)
            })),
            Piece::Output { line, text } => match steps.last_mut() {
                Some(Step::Run(commands)) if commands.output.is_none() => {
                    commands.output = Some(text);
                }
                _ => return Err(format!("line {line}: an output without commands before it")),
            },
            Piece::Block(block) => steps.push(step(block)?),
        }
    }
    Ok(steps)
}

fn step(block: Block) -> Result<Step, String> {
    let line = block.line;
    match block.language.as_str() {
        "" => return Err(format!("line {line}: a block without a language")),
        "sh" => {}
        _ => return Ok(Step::Shown(block)),
    }
    let Some(note) = &block.note else {
        return Ok(Step::Run(Commands::new(line, block.text)));
    };
    let wrong = || format!("line {line}: what is `<!-- {note} -->`?");
    if note
        .strip_prefix("not run: ")
        .is_some_and(|reason| !reason.is_empty())
    {
        Ok(Step::Shown(block))
    } else if note == "serves" {
        let script = block.text;
        Ok(Step::Serve { line, script })
    } else if let Some(code) = note.strip_prefix("exit ") {
        let exit = code.parse().map_err(|_| wrong())?;
        Ok(Step::Run(Commands {
            exit,
            ..Commands::new(line, block.text)
        }))
    } else if let Some(rest) = note.strip_prefix("on a node") {
        let word = match rest.strip_prefix("; ") {
            None if rest.is_empty() => None,
            word => word.and_then(|word| word.split_once(": ")),
        };
        if !rest.is_empty() && !word.is_some_and(|(word, _)| block.text.contains(word)) {
            return Err(wrong());
        }
        let owned = |(word, command): (&str, &str)| (word.to_owned(), command.to_owned());
        Ok(Step::Run(Commands {
            on_a_node: true,
            word: word.map(owned),
            ..Commands::new(line, block.text)
        }))
    } else {
        Err(wrong())
    }
}

enum Piece {
    Setup {
        line: usize,
        on_a_node: bool,
        script: String,
    },
    /// What the commands before it print.
    Output {
        line: usize,
        text: String,
    },
    Block(Block),
}

fn pieces(markdown: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut note: Option<String> = None;
    let mut lines = (1..).zip(markdown.lines());
    while let Some((line, text)) = lines.next() {
        let trimmed = text.trim_start();
        if let Some(comment) = comment(trimmed) {
            match piece_of(line, comment) {
                Some(piece) => pieces.push(piece),
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
            let text = block.join("\n") + "\n";
            let note = note.take();
            pieces.push(match note.as_deref() {
                Some("output") if !language.is_empty() => Piece::Output { line, text },
                _ => Piece::Block(Block {
                    line,
                    language: language.to_owned(),
                    text,
                    note,
                }),
            });
        } else if !trimmed.is_empty() {
            note = None;
        }
    }
    pieces
}

/// What a comment by itself means, unless it is one about the block after it.
fn piece_of(line: usize, comment: &str) -> Option<Piece> {
    let setup = |on_a_node, script: &str| Piece::Setup {
        line,
        on_a_node,
        script: script.to_owned(),
    };
    if let Some(script) = comment.strip_prefix("setup: ") {
        Some(setup(false, script))
    } else if let Some(script) = comment.strip_prefix("setup on a node: ") {
        Some(setup(true, script))
    } else {
        let text = format!("…\n…{}…\n…", comment.strip_prefix("prints: ")?);
        Some(Piece::Output { line, text })
    }
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
