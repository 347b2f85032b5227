"""The network that make_anomaly_model.py trains, in PyTorch."""

from torch import Tensor, nn

WIDTHS = (32, 48, 48, 64, 64)  # channels behind each halving of the window
CODE = 8  # numbers in the bottleneck
QUIET = 0.05  # keeps a constant window from being scaled up to noise


class Autoencoder(nn.Module):
    """Six convolutions from 128 steps down to 8 numbers, six transposed convolutions back."""

    def __init__(self, window: int) -> None:
        super().__init__()
        length = window // 2 ** len(WIDTHS)  # what is left before the bottleneck
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for inputs, outputs in zip((1, *WIDTHS), WIDTHS, strict=False):
            down += [nn.Conv1d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
            up = [nn.ReLU(), nn.ConvTranspose1d(outputs, inputs, 4, stride=2, padding=1), *up]
        self.encoder = nn.Sequential(*down, nn.Conv1d(WIDTHS[-1], CODE, length))
        self.decoder = nn.Sequential(nn.ConvTranspose1d(CODE, WIDTHS[-1], length), *up)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 128) -> reconstruction of the normalized window minus that window, (n, 1, 128)"""
        centred = x - x.mean(2, keepdim=True)
        deviation = (centred * centred).mean(2, keepdim=True).sqrt()  # (n, 1, 1)
        window = centred / (deviation + QUIET)  # (n, 1, 128)
        code = self.encoder(window)  # (n, 8, 1)
        residual: Tensor = self.decoder(code) - window
        return residual
