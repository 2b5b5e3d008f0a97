"""A plain consumer: prints every committed record of a topic, one JSON object a line.

    python consume.py BOOTSTRAP TOPIC
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition


def main(bootstrap: str, topic: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "plain",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    going_on = set(partitions)
    while going_on:
        message = consumer.poll(30)
        if message is None:
            sys.exit("no answer for 30 seconds")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            going_on.discard(message.partition())
            continue
        text = lambda some: None if some is None else some.decode()
        headers = {name: text(value) for name, value in message.headers() or []}
        record = {
            "partition": message.partition(),
            "offset": message.offset(),
            "key": text(message.key()),
            "value": text(message.value()),
            "headers": headers,
        }
        print(json.dumps(record))
    consumer.close()


main(*sys.argv[1:])
