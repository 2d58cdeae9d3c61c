//! The URL of a podseal.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use rustls::pki_types::ServerName;

/// The URL of a podseal.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name or the address, without the brackets of IPv6.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name that the certificate must have.
    pub(super) name: ServerName<'static>,
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Target, &'static str> {
        let expected = "must be https:// with a host and, unless it is 443, a port, such as \
                    https://podseal.podseal.svc";
        let url: Uri = url.parse().map_err(|_| expected)?;
        match url.scheme_str() {
            Some("https") => {}
            Some("http") => return Err("API servers call webhooks over https:// only"),
            _ => return Err(expected),
        }
        let authority = url.authority().ok_or(expected)?;
        if authority.as_str().contains('@') {
            return Err("remove the user and password: API servers do not send them to webhooks");
        }
        if url.path() != "/" || url.query().is_some() {
            return Err("remove the path: /mutate and /validate are both called");
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 443,
            Some(_) => authority
                .port_u16()
                .filter(|port| *port > 0)
                .ok_or(expected)?,
            None => return Err(expected),
        };
        let name = ServerName::try_from(host.clone()).map_err(|_| expected)?;
        Ok(Target { host, port, name })
    }
}

/// As in a `Host` header.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { host, port, .. } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]")?,
            false => f.write_str(host)?,
        }
        match port {
            443 => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_a_port() {
        let at = |url: &str| {
            let target: Target = url.parse().expect(url);
            (target.to_string(), target.host, target.port)
        };
        let of = |shown: &str, host: &str, port| (shown.to_owned(), host.to_owned(), port);
        assert_eq!(at("https://a.b.svc"), of("a.b.svc", "a.b.svc", 443));
        assert_eq!(at("https://a.b.svc:443/"), of("a.b.svc", "a.b.svc", 443));
        assert_eq!(at("https://[::1]:8443"), of("[::1]:8443", "::1", 8443));
        assert_eq!(at("https://127.0.0.1"), of("127.0.0.1", "127.0.0.1", 443));
    }

    #[test]
    fn what_is_no_such_url_is_told_why() {
        let wrong = |url: &str| Target::from_str(url).expect_err(url);
        for url in [
            "podseal.podseal.svc",
            "",
            "ftp://a",
            "https://",
            "https://a:0",
            "https://a:99999",
            "https://a:",
            "https://a_b!c",
        ] {
            assert!(wrong(url).starts_with("must be https://"), "{url}");
        }
        assert!(wrong("http://a").contains("https:// only"));
        assert!(wrong("https://a/mutate").contains("remove the path"));
        assert!(wrong("https://a/?x").contains("remove the path"));
        assert!(wrong("https://me:secret@a").contains("no user"));
    }
}
