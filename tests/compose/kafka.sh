# Makes settings of the variables KAFKA_*, formats the folder once, and runs the broker.
set -eu
env | sed -n 's/^KAFKA_\([A-Z_]*\)=\(.*\)/\1=\2/p' | while IFS='=' read -r name value; do
    printf '%s=%s\n' "$(printf %s "$name" | tr 'A-Z_' 'a-z.')" "$value"
done > /tmp/server.properties
kafka() { java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/*' "$@"; }
kafka kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c /tmp/server.properties
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/*' kafka.Kafka /tmp/server.properties
