//! What an expression asks for: metrics, labels and their values.

use std::collections::{BTreeMap, BTreeSet};

use crate::site::Site;
use crate::timeline::{self, PODS, Series};

/// What there is: of each metric the labels and their values.
pub(crate) struct Known(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

/// A part of an expression.
#[derive(Debug, PartialEq)]
enum Token<'e> {
    Word(&'e str),
    Text(&'e str),
    Sign(char),
}

impl Known {
    /// All that was scraped of the webhook, with what Prometheus adds.
    pub(crate) fn of(site: &Site) -> Known {
        let mut known = Known(BTreeMap::new());
        for (pod, replica) in PODS.iter().zip(&site.replicas) {
            known.add(timeline::of_pod(pod, &replica.troubled, |_| String::new()));
        }
        known
    }

    /// Also what was scraped of the device plugin.
    pub(crate) fn with_plugin(site: &Site) -> Known {
        let mut known = Known::of(site);
        known.add(timeline::plugins(0));
        known
    }

    fn add(&mut self, series: Vec<Series>) {
        for series in series {
            let labels = self.0.entry(series.name).or_default();
            for (label, value) in series.labels {
                labels.entry(label).or_default().insert(value);
            }
        }
    }

    /// The names of all metrics.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Fails unless there is all that `expr` asks for.
    pub(crate) fn check(&self, expr: &str) {
        let tokens = tokens(expr);
        let is_metric = |word: &str| {
            word == "up" || ["podseal", "process_"].iter().any(|p| word.starts_with(p))
        };
        let mut labels = BTreeSet::from(["le"]);
        let (mut grouping, mut found) = (Vec::new(), 0);
        for (index, token) in tokens.iter().enumerate() {
            let Token::Word(word) = *token else { continue };
            let rest = &tokens[index + 1..];
            if ["by", "without", "on", "ignoring"].contains(&word) {
                let words = rest.iter().skip(1).take_while(|t| **t != Token::Sign(')'));
                grouping.extend(words.filter_map(|token| match token {
                    Token::Word(label) => Some(*label),
                    _ => None,
                }));
            }
            // A label's value is a text, so what looks like a metric is one.
            if !is_metric(word) {
                continue;
            }
            found += 1;
            let of_metric = self.0.get(word);
            let of_metric = of_metric.unwrap_or_else(|| panic!("no metric {word}: {expr}"));
            labels.extend(of_metric.keys().map(String::as_str));
            if rest.first() == Some(&Token::Sign('{')) {
                check_matchers(&rest[1..], of_metric, expr);
            }
        }
        assert!(found > 0, "of podseal: {expr}");
        for label in grouping {
            assert!(labels.contains(label), "no label {label}: {expr}");
        }
    }
}

fn check_matchers(tokens: &[Token<'_>], labels: &BTreeMap<String, BTreeSet<String>>, expr: &str) {
    let end = tokens.iter().position(|token| *token == Token::Sign('}'));
    let matchers = &tokens[..end.expect("the brace is closed")];
    for matcher in matchers.split(|token| *token == Token::Sign(',')) {
        let (Some(Token::Word(label)), Some(Token::Text(text))) = (matcher.first(), matcher.last())
        else {
            panic!("{matcher:?}: {expr}");
        };
        let values = labels.get(*label);
        let values = values.unwrap_or_else(|| panic!("no label {label}: {expr}"));
        let is_pattern = matcher.contains(&Token::Sign('~'));
        for value in text
            .split('|')
            .filter(|value| !is_pattern || *value != ".+")
        {
            assert!(values.contains(value), "no {label}={value:?}: {expr}");
        }
    }
}

fn tokens(mut expr: &str) -> Vec<Token<'_>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_:.".contains(c);
    let mut tokens = Vec::new();
    while let Some(first) = expr.chars().next() {
        let end = match first {
            '"' => {
                let end = expr[1..].find('"').expect("the text is closed") + 2;
                tokens.push(Token::Text(&expr[1..end - 1]));
                end
            }
            first if is_word(first) => {
                let end = expr.find(|c| !is_word(c)).unwrap_or(expr.len());
                tokens.push(Token::Word(&expr[..end]));
                end
            }
            first => {
                if !first.is_whitespace() {
                    tokens.push(Token::Sign(first));
                }
                first.len_utf8()
            }
        };
        expr = &expr[end..];
    }
    tokens
}
