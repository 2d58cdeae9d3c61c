//! The temporary certificate of all servers of the benchmark.

use std::path::PathBuf;

/// A self-signed certificate and its key, as files.
pub(crate) struct Identity {
    /// The certificate as PEM.
    pub(crate) ca: String,
    folder: tempfile::TempDir,
}

impl Identity {
    /// A new certificate, also for the Service that the API server calls.
    pub(crate) fn new() -> Identity {
        let names = ["127.0.0.1", "localhost", "podseal.podseal.svc"];
        let made = rcgen::generate_simple_self_signed(names.map(str::to_owned));
        let made = made.expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let identity = Identity {
            ca: made.cert.pem(),
            folder,
        };
        std::fs::create_dir(identity.own_folder()).expect("the folder can be written");
        std::fs::write(identity.certificate(), &identity.ca).expect("the folder can be written");
        let key = made.signing_key.serialize_pem();
        std::fs::write(identity.key(), key).expect("the folder can be written");
        identity
    }

    /// podseal watches this folder and its parent. The parent must not be the folder of all
    /// temporary files, whose changes would affect the measurement.
    fn own_folder(&self) -> PathBuf {
        self.folder.path().join("tls")
    }

    /// The file with the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.own_folder().join("tls.crt")
    }

    /// The file with its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.own_folder().join("tls.key")
    }
}
