"""The families of model that compete. One more is a file here and a line in `MODELS`."""

from trainers.backbone import Backbone
from trainers.models.hybrid import ConvRecurrent, RecurrentAttention
from trainers.models.recurrent import GRU, LSTM, RNN
from trainers.models.ssm import SSM
from trainers.models.stack import Stack
from trainers.models.tcn import TCN
from trainers.models.transformer import Transformer

MODELS: dict[str, type[Backbone]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "tcn": TCN,
    "transformer": Transformer,
    "ssm": SSM,
    "cnn_rnn": ConvRecurrent,
    "rnn_attention": RecurrentAttention,
    "stack": Stack,
}
