//! Why a certificate was rejected. The texts name the cause and nothing that the host sent.

use rustls::{CertificateError, Error};

/// What is wrong with the certificate of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum InvalidCertificate {
    /// Its time is over.
    #[error("the host's certificate has expired (check this machine's clock, too)")]
    Expired,
    /// Its time has not begun.
    #[error("the host's certificate is not valid yet (check this machine's clock, too)")]
    NotYetValid,
    /// It names other hosts.
    #[error("the host's certificate is for another name than the one that was called")]
    WrongName,
    /// It names no host in the only place that counts.
    #[error(
        "the host's certificate has no subject alternative name (SAN), and its common name does not count"
    )]
    NoName,
    /// It is the certificate of an authority.
    #[error(
        "the host presents a CA certificate, which is not allowed for a server: let that CA issue one for the host"
    )]
    CaAsServer,
    /// Nobody who is trusted has issued it.
    #[error(
        "the issuer of the host's certificate is not trusted: add its CA certificate, not that of the host, to SSL_CERT_FILE"
    )]
    UnknownIssuer,
    /// It is for something other than a server.
    #[error("the host's certificate is not for servers (extended key usage)")]
    WrongPurpose,
    /// Anything else.
    #[error("the host's certificate is invalid")]
    Other,
}

/// What a failed handshake says about the certificate; `None` if the certificate was not the cause.
pub(super) fn invalid_certificate(error: &Error) -> Option<InvalidCertificate> {
    let Error::InvalidCertificate(cause) = error else { return None };
    Some(match cause {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => InvalidCertificate::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            InvalidCertificate::NotYetValid
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            InvalidCertificate::NoName
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            InvalidCertificate::WrongName
        }
        // A wrong signature: an authority of the same name is trusted, with another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => InvalidCertificate::UnknownIssuer,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            InvalidCertificate::WrongPurpose
        }
        // rustls has no variants of its own for these; webpki names them like this.
        CertificateError::Other(other) => match format!("{other:?}") {
            text if text.contains("CaUsedAsEndEntity") => InvalidCertificate::CaAsServer,
            text if text.contains("EkuError") => InvalidCertificate::WrongPurpose,
            _ => InvalidCertificate::Other,
        },
        _ => InvalidCertificate::Other,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;
    use rustls::pki_types::ServerName;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("webpki")]
    struct CaUsedAsEndEntity;

    #[test]
    fn each_cause_is_told_from_the_others() {
        let called = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("chat.example").unwrap(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        for (error, cause) in [
            (CertificateError::Expired, InvalidCertificate::Expired),
            (CertificateError::NotValidYet, InvalidCertificate::NotYetValid),
            (called(&["other.example"]), InvalidCertificate::WrongName),
            (called(&[]), InvalidCertificate::NoName),
            (CertificateError::UnknownIssuer, InvalidCertificate::UnknownIssuer),
            (CertificateError::InvalidPurpose, InvalidCertificate::WrongPurpose),
            (CertificateError::BadSignature, InvalidCertificate::UnknownIssuer),
            (CertificateError::BadEncoding, InvalidCertificate::Other),
            (
                CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity))),
                InvalidCertificate::CaAsServer,
            ),
        ] {
            assert_eq!(invalid_certificate(&Error::InvalidCertificate(error)), Some(cause));
        }
        assert_eq!(invalid_certificate(&Error::HandshakeNotComplete), None);
    }
}
