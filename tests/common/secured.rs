//! A broker that lets in by TLS and SCRAM only: its certificate, its settings, and those of its clients.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::{PASSWORD, USER, free_ports};

/// Adds to a broker's settings what it asks of clients; gives what a client must be told.
pub(super) fn secure(folder: &Path, properties: &Path) -> Vec<(String, String)> {
    let authority = folder.join("authority.pem");
    let broker = folder.join("broker.pem");
    let (vouches, identity) = certificates();
    fs::write(&authority, vouches).expect("a temporary file can be written");
    fs::write(&broker, identity).expect("a temporary file can be written");
    let plain = fs::read_to_string(properties).expect("the settings are there");
    let ours =
        ["advertised.listeners=", "listener.security.protocol.map=", "inter.broker.listener."];
    let others = plain.lines().filter(|line| !ours.iter().any(|of| line.starts_with(of)));
    let plain: String = others.flat_map(|line| [line, "\n"]).collect();
    let between = free_ports(1)[0];
    let listeners = plain.lines().find(|line| line.starts_with("listeners=")).expect("listeners");
    let secured = listeners.replace("PLAINTEXT://", "SASL_SSL://");
    let text = plain.replace(
        listeners,
        &format!(
            "{secured},BETWEEN://127.0.0.1:{between}\n\
             listener.security.protocol.map=\
             SASL_SSL:SASL_SSL,BETWEEN:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=BETWEEN\n\
             sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             ssl.keystore.type=PEM\nssl.keystore.location={}",
            broker.display()
        ),
    );
    fs::write(properties, text).expect("a temporary file can be written");
    let client = [
        ("security.protocol", "sasl_ssl".to_owned()),
        ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
        ("sasl.username", USER.to_owned()),
        ("sasl.password", PASSWORD.to_owned()),
        ("ssl.ca.location", authority.display().to_string()),
    ];
    client.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Gives the certificate of an authority, and a key with the certificate that it has signed.
fn certificates() -> (String, String) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    // Without a name of its own it would be taken for the one that it vouches for.
    authority.distinguished_name.push(DnType::CommonName, "authority of a test");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a certificate");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let key = KeyPair::generate().expect("a key");
    let broker = CertificateParams::new(names).expect("names");
    let broker = broker.signed_by(&key, &authority).expect("a certificate");
    (authority.pem(), key.serialize_pem() + &broker.pem())
}
