//! TLS for the listener: a certificate with its key, and a new pair in their place while connections
//! that are open go on with the old one.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, Error, ServerConfig};

/// Protocols that are spoken, the better one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The pair that new connections are served with.
#[derive(Debug)]
pub struct Tls(RwLock<Arc<ServerConfig>>);

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in the text.
    #[error("the certificate's file holds no certificate")]
    NoCertificate,
    /// There is no private key in the text, or one behind a password.
    #[error("the key's file holds no private key, or one that is encrypted")]
    NoKey,
    /// A text is not PEM.
    #[error("the {of}'s file is not PEM")]
    NotPem {
        /// Of what.
        of: &'static str,
        /// The cause.
        #[source]
        source: pem::Error,
    },
    /// Each may be good; they do not belong together.
    #[error("the key is not that of the certificate (which must be the first in its file)")]
    NotAPair,
    /// They cannot be used otherwise.
    #[error("the certificate or the key cannot be used")]
    Unusable(#[source] Error),
}

impl Tls {
    /// Takes a certificate with those that vouch for it, and its private key, in PEM.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be used.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(configure(certificates, key)?)))
    }

    /// Puts another pair in the place of this one, for connections that come from now on.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be used; the old pair then stays.
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let config = configure(certificates, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Gives what a new connection is served with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn configure(certificates: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::NotPem { of: "certificate", source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    let key = match PrivateKeyDer::from_pem_slice(key) {
        Ok(key) => key,
        Err(pem::Error::NoItemsFound) => return Err(TlsError::NoKey),
        Err(source) => return Err(TlsError::NotPem { of: "key", source }),
    };
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| {
            let apart = matches!(error, Error::InconsistentKeys(_));
            if apart { TlsError::NotAPair } else { TlsError::Unusable(error) }
        })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn refused(certificates: &str, key: &str) -> String {
        Tls::new(certificates.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_pair_is_refused_and_says_why() {
        let ((certificate, key), (_, other)) = (pair(), pair());
        assert!(Tls::new(certificate.as_bytes(), key.as_bytes()).is_ok());
        let of_no_pair =
            "the key is not that of the certificate (which must be the first in its file)";
        assert_eq!(refused(&certificate, &other), of_no_pair);
        assert_eq!(refused(&key, &key), "the certificate's file holds no certificate");
        assert_eq!(refused("", &key), "the certificate's file holds no certificate");
        let no_key = "the key's file holds no private key, or one that is encrypted";
        assert_eq!(refused(&certificate, &certificate), no_key);
        let cut = &certificate[..certificate.len() / 2];
        assert_eq!(refused(cut, &key), "the certificate's file is not PEM");
        let label = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(refused(label, &key), "the certificate or the key cannot be used");
    }

    #[test]
    fn a_pair_that_cannot_be_used_leaves_the_old_one() {
        let ((certificate, key), (other, _)) = (pair(), pair());
        let tls = Tls::new(certificate.as_bytes(), key.as_bytes()).unwrap();
        let before = tls.config();
        assert!(tls.replace(other.as_bytes(), key.as_bytes()).is_err());
        assert!(Arc::ptr_eq(&before, &tls.config()));
        let (certificate, key) = pair();
        tls.replace(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert!(!Arc::ptr_eq(&before, &tls.config()));
    }
}
