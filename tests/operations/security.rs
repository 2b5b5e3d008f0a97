//! A broker that demands TLS and SCRAM: all by configuration.

use serde_json::json;

use crate::broker::{Cluster, PASSWORD};
use crate::common::{Ran, Server, run, tallybook};

/// Writes the settings file of a client, the password in a file of its own.
fn settings(cluster: &Cluster, folder: &std::path::Path, password: &str) -> String {
    let secret = folder.join("password");
    std::fs::write(&secret, format!("{password}\n")).expect("it can be written");
    let mut text = format!("[kafka]\nbootstrap = '{}'\n[kafka.extra]\n", cluster.bootstrap());
    for (name, value) in cluster.client() {
        let line = if name == "sasl.password" {
            format!("'{name}_FILE' = '{}'\n", secret.display())
        } else {
            format!("'{name}' = '{value}'\n")
        };
        text += &line;
    }
    let file = folder.join("tallybook.toml");
    std::fs::write(&file, text).expect("it can be written");
    file.to_string_lossy().into_owned()
}

fn topics(config: &str, arguments: &[&str]) -> Ran {
    run(tallybook().arg("topics").args(arguments).args(["--config", config]))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_scram_work_by_configuration_alone() {
    let cluster = Cluster::start_secured();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let config = settings(&cluster, folder.path(), PASSWORD);
    let applied = topics(&config, &["apply", "--partitions", "2"]);
    assert_eq!(applied.code, Some(0), "{}", applied.stderr);
    // The same by arguments: keys are made with them, and the server runs with them.
    let set = |(name, value): &(String, String)| ["--kafka-set".into(), format!("{name}={value}")];
    let arguments: Vec<String> = ["--kafka".to_owned(), cluster.bootstrap().to_owned()]
        .into_iter()
        .chain(cluster.client().iter().flat_map(set))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Server::start_in(&folder.path().join("data"), &arguments).await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    assert_eq!(client.get("/api/v1/customers/acme").await.expect(200)["version"], json!(1));
    let log = server.stop();
    assert!(!log.contains(PASSWORD), "{log}");
    let wrong = settings(&cluster, folder.path(), "wrong horse");
    let refused = topics(&wrong, &["check"]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("Authentication failed"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("wrong horse"), "{}", refused.stderr);
    let serve = run(tallybook()
        .args(["serve", "--listen", "127.0.0.1:0", "--config", &wrong, "--data"])
        .arg(folder.path().join("other")));
    assert_eq!(serve.code, Some(6), "{}", serve.stderr);
    assert!(serve.stderr.contains("Authentication failed"), "{}", serve.stderr);
}
