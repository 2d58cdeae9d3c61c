//! The jq commands of a page of the documentation, run on real lines.
//!
//! With jaq, which is jq as a crate, so that the tests need no jq.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data, unwrap_valr};
use jaq_json::{Val, read};

/// A command of a page: `jq -rs '…'`.
pub(crate) struct Command {
    flags: String,
    program: String,
}

/// Every jq command in the page's code blocks, in order.
pub(crate) fn commands(page: &str) -> Vec<Command> {
    let command = |rest: &str| {
        let (flags, rest) = rest.split_once(" '").expect("a program in single quotes");
        let (program, _) = rest.split_once('\'').expect("the program's end");
        Command {
            flags: flags.to_owned(),
            program: program.to_owned(),
        }
    };
    let rests = page.split("| jq -").skip(1);
    rests.map(command).collect()
}

impl Command {
    /// What the command prints when it is given `lines`.
    pub(crate) fn run(&self, lines: &[String]) -> String {
        let program = File {
            code: self.program.as_str(),
            path: (),
        };
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let arena = Arena::default();
        let modules = Loader::new(defs).load(&arena, program);
        let modules = modules.unwrap_or_else(|e| panic!("{}: {e:?}", self.program));
        let filter = Compiler::default().with_funs(funs).compile(modules);
        let filter = filter.unwrap_or_else(|e| panic!("{}: {e:?}", self.program));
        let values = lines
            .iter()
            .map(|line| read::parse_single(line.as_bytes()).expect("a line of the log is JSON"));
        let inputs: Vec<Val> = match self.flags.contains('s') {
            true => vec![values.collect()],
            false => values.collect(),
        };
        let mut printed = String::new();
        for input in inputs {
            let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
            for output in filter.id.run((context, input)).map(unwrap_valr) {
                let output = output.unwrap_or_else(|e| panic!("{}: {e}", self.program));
                let output = output.to_string();
                let text = match self.flags.contains('r') {
                    true => serde_json::from_str(&output).unwrap_or(output),
                    false => output,
                };
                printed.push_str(&text);
                printed.push('\n');
            }
        }
        printed
    }
}
