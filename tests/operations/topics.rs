//! Topics are made as the rules want them, and wrong ones are refused.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::json;
use tallybook::kafka::Kafka;

use crate::cluster::{made, named, serve, unmade};
use crate::common::{Ran, run, tallybook, until};

fn topics(kafka: &Kafka, arguments: &[&str]) -> Ran {
    run(tallybook().arg("topics").args(arguments).args(named(kafka)))
}

fn admin(kafka: &Kafka) -> AdminClient<DefaultClientContext> {
    kafka.client().create().expect("a client")
}

async fn alter(kafka: &Kafka, name: &str, settings: &[(&str, &str)]) {
    let name = kafka.topic(name);
    let config = AlterConfig::new(ResourceSpecifier::Topic(&name));
    let config = settings.iter().fold(config, |config, (name, value)| config.set(name, value));
    let altered = admin(kafka).alter_configs(&[config], &AdminOptions::new()).await;
    for altered in altered.expect("an answer") {
        altered.expect("it is altered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_passes_and_what_is_changed_is_told_in_full() {
    let kafka = unmade();
    let missing = topics(&kafka, &["check"]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    assert_eq!(missing.stderr.matches("is not there").count(), 7, "{}", missing.stderr);
    for _ in 0..2 {
        let applied = topics(&kafka, &["apply", "--partitions", "3"]);
        assert_eq!(applied.code, Some(0), "{}", applied.stderr);
    }
    let checked = topics(&kafka, &["check"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let wrong = [
        ("cleanup.policy", "compact"),
        ("retention.ms", "604800000"),
        ("unclean.leader.election.enable", "true"),
    ];
    alter(&kafka, "journal", &wrong).await;
    alter(&kafka, "keys", &[("cleanup.policy", "delete")]).await;
    let commands = kafka.topic("commands");
    let more = NewPartitions::new(&commands, 5);
    let grown = admin(&kafka).create_partitions(&[more], &AdminOptions::new()).await;
    for grown in grown.expect("an answer") {
        grown.expect("it has grown");
    }
    let prefix = &kafka.prefix;
    let told = until("all faults", || {
        let checked = topics(&kafka, &["check"]);
        (checked.stderr.matches("\n  - ").count() >= 5).then_some(checked)
    });
    assert_eq!(told.code, Some(5), "{}", told.stderr);
    for fault in [
        "commands has 5 partitions, it must have 3",
        "journal has cleanup.policy=compact, it must be delete",
        "journal has retention.ms=604800000, it must be -1",
        "journal has unclean.leader.election.enable=true, it must be false",
        "keys has cleanup.policy=delete, it must be compact",
    ] {
        assert!(told.stderr.contains(&format!("{prefix}.{fault}")), "{fault}: {}", told.stderr);
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let serve = run(tallybook()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .args(named(&kafka)));
    assert_eq!(serve.code, Some(5), "{}", serve.stderr);
    assert!(serve.stderr.contains("the topics are not as they must be"), "{}", serve.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_made_anew_is_not_the_one_that_it_began_as() {
    let kafka = made().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let roles = "gateway,processor,projector";
    let server = serve(&kafka, folder.path(), "one", roles).await;
    let client = server.client();
    client.post("/api/v1/customers", &json!({"key": "acme"})).await.expect(201);
    server.stop();
    // A second start notes what the first records are.
    serve(&kafka, folder.path(), "one", roles).await.stop();
    assert_eq!(topics(&kafka, &["check"]).code, Some(0));
    let name = kafka.topic("journal");
    let deleted = admin(&kafka).delete_topics(&[&name], &AdminOptions::new()).await;
    for deleted in deleted.expect("an answer") {
        deleted.expect("it is deleted");
    }
    let refused = until("the journal that is another", || {
        let checked = topics(&kafka, &["apply", "--partitions", "4"]);
        (checked.stderr.contains("does not begin with the record")).then_some(checked)
    });
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    let more = topics(&kafka, &["check"]);
    assert!(more.stderr.contains("was made anew"), "{}", more.stderr);
}
