//! TLS to the database.

use hushwood_delivery::backend::{BackendError, PostgresBackend, PostgresSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use test_support::postgres::Postgres;

/// A root, as PEM, and what it certifies.
struct Root {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Root {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// Has the server speak TLS under this name.
    fn certify(&self, server: &Postgres, name: &str) {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        let key = server.put_file("server.key", key.serialize_pem().as_bytes());
        let certificate = server.put_file("server.pem", certificate.pem().as_bytes());
        server.sql("postgres", &format!("ALTER SYSTEM SET ssl_cert_file = '{}'", certificate.display()));
        server.sql("postgres", &format!("ALTER SYSTEM SET ssl_key_file = '{}'", key.display()));
        server.sql("postgres", "ALTER SYSTEM SET ssl = on");
        server.sql("postgres", "SELECT pg_reload_conf()");
        while server.sql("postgres", "SHOW ssl").trim() != "on" {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_who_its_certificate_says() {
    let server = Postgres::start(&[]);
    let (root, stranger) = (Root::new(), Root::new());
    root.certify(&server, "localhost");
    let database = server.database();
    let file = |name, root: &Root| {
        server.put_file(name, root.pem.as_bytes()).display().to_string().replace('/', "%2F")
    };
    let (trusted, other) = (file("root.pem", &root), file("other.pem", &stranger));
    let url = server.tcp_url(&database).replace("127.0.0.1", "localhost");
    let open = async |url: String| PostgresBackend::open(&PostgresSettings::new(&url).unwrap()).await;

    let backend = open(format!("{url}?sslmode=verify-full&sslrootcert={trusted}")).await.unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'hushwood'";
    assert_eq!(server.sql("postgres", encrypted).trim(), "t");
    drop(backend);

    for (url, why) in [
        (format!("{url}?sslmode=require&sslrootcert={other}"), "of an authority that nobody has named"),
        (format!("{url}?sslmode=require"), "of an authority that the system does not know"),
        (
            format!("{}?sslmode=verify-full&sslrootcert={trusted}", server.tcp_url(&database)),
            "for another name",
        ),
    ] {
        let refused = open(url).await.unwrap_err();
        let said = refused.to_string();
        assert!(
            matches!(refused, BackendError::Unavailable(_)) && said.contains("certificate"),
            "{why}: {said}"
        );
    }
    let none = format!("{url}?sslmode=require&sslrootcert=%2Fnowhere");
    assert!(open(none).await.unwrap_err().to_string().contains("TLS"), "no file");
}
