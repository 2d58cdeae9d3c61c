//! Patterns of image names, such as `docker:*dind*`.
//!
//! A pattern is the whole name, as the pod has it. `*` stands for any characters within a
//! segment of the path, or within the tag: never for `/`, `:` or `@`. So `docker:*dind*`
//! is neither `example.com/docker:dind`, nor an image by its digest, whatever tag is before
//! that: only the digest counts then.

/// What separates the parts of a name.
const SEPARATORS: [char; 3] = ['/', ':', '@'];

/// The longest name of an image (the distribution specification, v1.1: 255 bytes of
/// repository, a tag and a digest).
const LONGEST: usize = 512;

/// Whether `image` matches `pattern` as a whole.
pub(crate) fn matches(pattern: &str, image: &str) -> bool {
    let is_name = !image.is_empty() && image.bytes().all(|b| b.is_ascii_graphic());
    if !is_name || image.len() > LONGEST {
        return false;
    }
    let (patterns, images) = (parts(pattern), parts(image));
    patterns.len() == images.len()
        && patterns
            .iter()
            .zip(&images)
            .all(|(pattern, image)| pattern.0 == image.0 && part_matches(pattern.1, image.1))
}

/// The parts of a name, each with the separator before it.
fn parts(name: &str) -> Vec<(Option<char>, &str)> {
    let mut parts = Vec::new();
    let (mut separator, mut rest) = (None, name);
    while let Some(end) = rest.find(SEPARATORS) {
        parts.push((separator, &rest[..end]));
        separator = rest[end..].chars().next();
        rest = &rest[end + 1..];
    }
    parts.push((separator, rest));
    parts
}

/// Whether a part matches, where `*` stands for any characters.
fn part_matches(pattern: &str, part: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = part.strip_prefix(first) else {
        return false;
    };
    let pieces: Vec<_> = pieces.collect();
    let Some((last, inner)) = pieces.split_last() else {
        return rest.is_empty();
    };
    for piece in inner {
        let Some(found) = rest.find(piece) else {
            return false;
        };
        rest = &rest[found + piece.len()..];
    }
    rest.ends_with(last)
}

/// Why a pattern cannot be used, as a clause.
pub(crate) fn problem(pattern: &str) -> Option<&'static str> {
    if pattern.len() > LONGEST || pattern.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("is no name of an image");
    }
    if pattern.is_empty() || pattern.starts_with('*') {
        return Some(
            "does not begin with a registry or a repository, so that anyone's images match; name it",
        );
    }
    let first = parts(pattern)[0].1;
    let is_registry = pattern.contains('/');
    if is_registry && first.contains('*') {
        return Some("has a * in its registry or first segment, so that anyone's images match");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_whole_name_and_a_star_stays_within_a_part() {
        for (pattern, image, is_match) in [
            ("docker:*dind*", "docker:dind", true),
            ("docker:*dind*", "docker:27.3-dind-rootless", true),
            ("docker:*dind*", "docker:27.3", false),
            ("docker:*dind*", "docker", false),
            ("docker", "docker", true),
            ("docker:*", "docker", false),
            (
                "registry.example:5000/team/*:1",
                "registry.example:5000/team/builder:1",
                true,
            ),
            (
                "registry.example:5000/team/*:1",
                "registry.example:5000/team/a/b:1",
                false,
            ),
            ("a*b*c", "abxbc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, image), is_match, "{pattern} {image}");
        }
    }

    #[test]
    fn a_look_alike_does_not_match() {
        for image in [
            "evil.example/docker:dind",
            "docker.evil.example/x:dind",
            "docker:5000/dind",
            "docker/x:dind",
            "x/docker:dind",
            "xdocker:dind",
            "docker:dind@sha256:0123456789abcdef",
            "docker@sha256:dind",
            "docker:dind:dind",
            "docker:dind ",
            "Docker:dind",
            "dоcker:dind",
            "",
        ] {
            assert!(!matches("docker:*dind*", image), "{image}");
        }
        assert!(!matches("a:*", &format!("a:{}", "x".repeat(LONGEST))));
    }

    #[test]
    fn a_pattern_names_where_its_images_are_from() {
        for pattern in [
            "docker:*",
            "docker*:1",
            "a.example/*/b:*",
            "a.example:5000/b",
        ] {
            assert_eq!(problem(pattern), None, "{pattern}");
        }
        for pattern in ["", "*", "*:dind", "*.example/a", "a*.example/b", "a b"] {
            assert!(problem(pattern).is_some(), "{pattern}");
        }
    }
}
