//! A temporary certificate authority for the testbed's servers.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority that exists only in this process.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A server's certificate with its key.
pub struct ServerCertificate {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key, PKCS #8 in PEM.
    pub key: String,
}

/// A key pair for signing, as PEM.
pub struct SigningKey {
    /// PKCS #8.
    pub private: String,
    /// `SubjectPublicKeyInfo`.
    pub public: String,
}

impl Authority {
    /// Creates an authority; `name` appears in error messages about certificates.
    ///
    /// # Errors
    /// If no key can be generated.
    pub fn new(name: &str) -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self { issuer: CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)? })
    }

    /// The authority's own certificate as PEM, for clients to trust.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The authority's own certificate, as a server would present it by mistake.
    #[must_use]
    pub fn as_server(&self) -> ServerCertificate {
        ServerCertificate { certificate: self.pem(), key: self.issuer.key().serialize_pem() }
    }

    /// Issues a server certificate for these DNS names and IP addresses.
    ///
    /// # Errors
    /// If a name is neither, or no key can be generated.
    pub fn server(&self, names: &[&str]) -> Result<ServerCertificate> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = CertificateParams::new(names.clone())?;
        parameters.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(ServerCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl SigningKey {
    /// Generates an elliptic-curve key (P-256).
    ///
    /// # Errors
    /// If no key can be generated.
    pub fn generate() -> Result<Self> {
        let key = KeyPair::generate()?;
        Ok(Self { private: key.serialize_pem(), public: key.public_key_pem() })
    }
}
