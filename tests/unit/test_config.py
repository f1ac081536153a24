"""Settings that cannot be meant are refused with a sentence that names them."""

from pathlib import Path

import pytest

from bank.config import Config
from bank.errors import StartRefused


def test_nothing_set_is_a_node_on_port_5000_of_this_machine() -> None:
    config = Config.from_environment({})
    assert (config.port, config.host, config.node_name, config.data_dir) == (
        5000,
        "127.0.0.1",
        "banco-5000",
        Path("dados"),
    )
    assert config.addresses == ("http://127.0.0.1:5000",)


def test_everything_set_is_taken() -> None:
    config = Config.from_environment(
        {
            "PORT": "6000", "HOST": "::1", "NODE_NAME": "centro", "DATA_DIR": "/tmp/x", "THREADS": "8",
            "LOG_FORMAT": "json",
            "SERVERS_ALLOWED": "http://a:1, https://b/",
        }
    )  # fmt: skip
    assert (config.port, config.node_name, config.threads, config.log_format) == (6000, "centro", 8, "json")
    assert config.servers_allowed == ("http://a:1", "https://b")
    assert config.addresses == ("http://[::1]:6000",)
    assert config.node_dir == Path("/tmp/x/centro")


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("CLUSTER_KEY", "short", "CLUSTER_KEY must be 16-200"),
        ("RATE_LIMIT", "100", "RATE_LIMIT '100' is not such as 100/second"),
        ("RATE_LIMIT", "0/second", "is not such as 100/second"),
        ("TRUSTED_PROXY", "*", "TRUSTED_PROXY '\\*' is not an IP address"),
        ("TRUSTED_PROXY", "proxy.example", "is not an IP address"),
        ("TOKENS_FILE", "tokens.json", "without CLUSTER_KEY"),
        ("AMQP_CA", "ca.pem", "are for amqps:// URLs"),
        ("PORT", "x", "PORT='x' is not a whole number"),
        ("PORT", "0", "PORT 0 is not between"),
        ("PORT", "70000", "PORT 70000 is not between"),
        ("PORT", "-1", "is not a whole number"),
        ("PORT", "\u0665", "is not a whole number"),
        ("THREADS", "0", "THREADS 0 is not between"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT 'xml' is neither text nor json"),
        ("NODE_NAME", "../x", "NODE_NAME"),
        ("NODE_NAME", "a b", "NODE_NAME"),
        ("HOST", "0.0.0.0", "can be reached by others"),
        ("HOST", "example.org", "can be reached by others"),
        ("PUBLIC_URL", "banco:5000", "not an http or https URL"),
        ("SERVERS_ALLOWED", "ftp://a", "not an http or https URL"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(variable: str, value: str, sentence: str) -> None:
    with pytest.raises(StartRefused, match=sentence):
        Config.from_environment({variable: value})


def test_another_host_is_taken_if_anonymous_access_is_meant() -> None:
    assert Config.from_environment({"HOST": "0.0.0.0", "ALLOW_ANONYMOUS": "1"}).host == "0.0.0.0"


def test_another_host_is_taken_if_the_bank_asks_who_comes() -> None:
    locked = {"HOST": "0.0.0.0", "TOKENS_FILE": "tokens.json", "CLUSTER_KEY": "k" * 16}
    assert Config.from_environment(locked).tokens_file == Path("tokens.json")
    with pytest.raises(StartRefused, match="contradict"):
        Config.from_environment(locked | {"ALLOW_ANONYMOUS": "1"})


def test_relations_between_settings_are_checked() -> None:
    with pytest.raises(StartRefused, match="below 3 heartbeats"):
        Config(node_name="a", heartbeat_ms=2_000)
    with pytest.raises(StartRefused, match="below a batch"):
        Config(node_name="a", queue_operations_max=9_999)
