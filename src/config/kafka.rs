//! The table `kafka` of the settings file: where Kafka is, and all that librdkafka is to be told.
//!
//! `kafka = "ADDRESSES"` is the option `--kafka`, like any other. As a table it has the members
//! `bootstrap`, `prefix` and `extra`, and below `extra` whatever settings librdkafka knows.

use toml::{Table, Value};

use super::ConfigError;

/// Name of the table.
const KAFKA: &str = "kafka";
/// Members of the table, and the options that they are.
const MEMBERS: [(&str, &str); 3] =
    [("bootstrap", KAFKA), ("prefix", "kafka_prefix"), ("extra", "kafka_extra")];

/// Makes a table `kafka` into the options that it stands for.
pub(super) fn flatten(options: &mut Table) -> Result<(), ConfigError> {
    let Some(Value::Table(_)) = options.get(KAFKA) else { return Ok(()) };
    let Some(Value::Table(table)) = options.remove(KAFKA) else { return Ok(()) };
    for (name, value) in table {
        let Some((_, option)) = MEMBERS.iter().find(|(member, _)| *member == name) else {
            let (key, command) = (format!("{KAFKA}.{name}"), "tallybook".to_owned());
            return Err(ConfigError::UnknownKey { key, command });
        };
        let value = if name == "extra" { Value::Array(settings(value)?) } else { value };
        options.insert((*option).to_owned(), value);
    }
    Ok(())
}

/// Gives settings of librdkafka, each as `name=value`.
fn settings(value: Value) -> Result<Vec<Value>, ConfigError> {
    let Value::Table(table) = value else {
        let key = format!("{KAFKA}.extra");
        return Err(ConfigError::WrongType { key, expected: "a table of settings of librdkafka" });
    };
    let mut found = Vec::new();
    collect("", table, &mut found)?;
    Ok(found.into_iter().map(Value::String).collect())
}

/// A name with dots is the same in quotes and as tables.
fn collect(path: &str, table: Table, found: &mut Vec<String>) -> Result<(), ConfigError> {
    for (name, value) in table {
        let name = format!("{path}{name}");
        match value {
            Value::Table(below) => collect(&format!("{name}."), below, found)?,
            Value::String(text) => found.push(format!("{name}={text}")),
            Value::Integer(number) => found.push(format!("{name}={number}")),
            Value::Boolean(flag) => found.push(format!("{name}={flag}")),
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) => {
                let key = format!("{KAFKA}.extra.{name}");
                return Err(ConfigError::WrongType {
                    key,
                    expected: "a string, an integer or a boolean",
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_options_that_it_stands_for() {
        let mut options: Table = "[kafka]\nbootstrap = 'b:9092'\nprefix = 'p'\n[kafka.extra]\n\
             security.protocol = 'sasl_ssl'\n'sasl.password_FILE' = '/run/secret'\n\
             'socket.timeout.ms' = 6000\n"
            .parse()
            .unwrap();
        flatten(&mut options).unwrap();
        let mut expected: Table = "kafka = 'b:9092'\nkafka_prefix = 'p'".parse().unwrap();
        let extra = [
            "sasl.password_FILE=/run/secret",
            "security.protocol=sasl_ssl",
            "socket.timeout.ms=6000",
        ];
        let extra = extra.map(|text| Value::String(text.into())).to_vec();
        expected.insert("kafka_extra".into(), Value::Array(extra));
        assert_eq!(options, expected);
        // As a text it is an option like any other.
        let mut plain: Table = "kafka = 'b:9092'".parse().unwrap();
        flatten(&mut plain).unwrap();
        assert_eq!(plain.get("kafka"), Some(&Value::String("b:9092".into())));
    }

    #[test]
    fn what_is_no_member_is_refused_by_name() {
        let refused = |text: &str| flatten(&mut text.parse().unwrap()).unwrap_err().to_string();
        assert_eq!(
            refused("[kafka]\nbotstrap = 'b'"),
            "`kafka.botstrap` in the settings file is no option of `tallybook`"
        );
        assert_eq!(
            refused("[kafka.extra]\n'linger.ms' = 1.5"),
            "`kafka.extra.linger.ms` in the settings file must be a string, an integer or a boolean"
        );
    }
}
