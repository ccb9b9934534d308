//! TLS for the HTTP listener: certificate and key from PEM files, and nothing to choose.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Everybody on the machine can read the private key.
    #[error("{}: the private key can be read by all users; take that away with chmod o=", .0.display())]
    Open(PathBuf),
    /// No certificate where one was expected.
    #[error("{}: there is no PEM certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// No key where one was expected.
    #[error("{}: there is no PEM private key in it that can be used", .0.display())]
    NoKey(PathBuf),
    /// They do not belong together, or are of a kind that is not taken.
    #[error("certificate and private key cannot be used: {0}")]
    Unfit(rustls::Error),
}

/// What a listener needs to speak TLS 1.2 and 1.3. The first certificate of the file is the
/// server's; those that vouch for it follow.
pub fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = read(certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NoCertificate(certificate.to_owned()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_owned()));
    }
    let unreadable = |source| TlsError::Read { path: key.to_owned(), source };
    let mode = std::fs::metadata(key).map_err(unreadable)?.permissions().mode();
    if mode & 0o004 != 0 {
        return Err(TlsError::Open(key.to_owned()));
    }
    let private =
        PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| TlsError::NoKey(key.to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(TlsError::Unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        assert!(matches!(config(&certificate, &key), Err(TlsError::Read { .. })));
        std::fs::write(&certificate, "no certificate").unwrap();
        assert!(matches!(config(&certificate, &key), Err(TlsError::NoCertificate(_))));
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&certificate, pem).unwrap();
        assert!(matches!(config(&certificate, &key), Err(TlsError::Read { .. })));
        std::fs::write(&key, "no key").unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(config(&certificate, &key), Err(TlsError::Open(_))));
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(config(&certificate, &key), Err(TlsError::NoKey(_))));
        let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        std::fs::write(&key, pem).unwrap();
        assert!(matches!(config(&certificate, &key), Err(TlsError::Unfit(_))));
    }
}
