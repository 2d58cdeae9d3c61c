//! The relevant part of an error of the API server or of the connection to it.
//!
//! kube wraps a cause in several layers that each quote it, and prints a `Status` as a
//! structure. The useful part is the innermost one.

use std::error::Error;

use kube::core::Status;

use admission::text::remark;

/// The maximum length: a denial of the API server names the user, verb and object.
const SHOWN: usize = 400;

/// The message of the API server in `error`, or else the innermost cause. Escaped for
/// the log.
pub(crate) fn core_of(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    loop {
        if let Some(status) = status(innermost) {
            let text = match &*status.message {
                "" => &status.reason,
                message => message,
            };
            return remark(&format!("{text} (code {})", status.code), SHOWN);
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => return remark(&innermost.to_string(), SHOWN),
        }
    }
}

/// [`core_of`] the source, after the message of `error` itself.
pub(crate) fn with_core(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", core_of(source)),
        None => remark(&error.to_string(), SHOWN),
    }
}

/// The API server's `Status`, if there is one.
fn status<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Status> {
    let boxed = || error.downcast_ref::<Box<Status>>().map(|status| &**status);
    let own = match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(&**status),
        _ => None,
    };
    own.or_else(boxed).or_else(|| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use std::io;

    use kube::runtime::watcher;

    use super::*;

    const MESSAGE: &str = r#"secrets "podseal-tls" is forbidden: User "x" cannot get it"#;

    fn refusal() -> Box<Status> {
        let mut status = Status::failure(MESSAGE, "Forbidden");
        status.code = 403;
        Box::new(status)
    }

    #[test]
    fn of_a_refusal_the_message_and_the_code_are_told_however_it_is_wrapped() {
        let told = format!("{MESSAGE} (code 403)");
        assert_eq!(core_of(&kube::Error::Api(refusal())), told);
        let wrapped = watcher::Error::WatchStartFailed(kube::Error::Api(refusal()));
        assert_eq!(core_of(&wrapped), told);
        assert_eq!(core_of(&watcher::Error::WatchError(refusal())), told);
    }

    #[test]
    fn of_a_connection_the_innermost_cause_is_told() {
        let cause = io::Error::other("refused\n");
        let error = kube::Error::Service(Box::new(kube::Error::ReadEvents(cause)));
        assert_eq!(core_of(&error), "refused\\u{a}");
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut status = refusal();
        status.message = "x".repeat(10_000);
        assert!(core_of(&kube::Error::Api(status)).len() < SHOWN + 10);
    }
}
