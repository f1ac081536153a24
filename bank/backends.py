"""Which log a node follows: RabbitMQ if AMQP_URL is set, else the embedded log in DATA_DIR."""

from bank.config import Config
from replication.embedded import EmbeddedLog, EmbeddedPresence
from replication.log import Log
from replication.presence import Presence
from replication.rabbitmq import Brokers, RabbitLog, Tls
from replication.rabbitmq_presence import RabbitPresence

__all__ = ["open_log"]


def open_log(config: Config) -> tuple[Log, Presence]:
    """Return the log and the presence that goes with it. Raises StartRefused."""
    if not config.amqp_urls:
        return EmbeddedLog(config.data_dir), EmbeddedPresence(config.data_dir)
    tls = Tls(config.amqp_ca, config.amqp_certificate, config.amqp_key)
    brokers = Brokers(config.amqp_urls, tls, node=config.node_name)
    log = RabbitLog(brokers, exchange=config.amqp_exchange, stream=config.amqp_stream)
    return log, RabbitPresence(brokers, exchange=f"{config.amqp_exchange}.presenca")
