"""The networks that make_models.py trains, in PyTorch.

References:
    Depthwise separable convolutions: Howard et al., https://arxiv.org/abs/1704.04861
    Residual blocks: He et al., https://arxiv.org/abs/1512.03385
    Pre-norm transformer: Xiong et al., https://arxiv.org/abs/2002.04745
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Vgg(nn.Module):
    """Two pairs of 3x3 convolutions with BatchNorm, then two fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv_bn(1, 16), nn.ReLU(),
            *conv_bn(16, 16), nn.ReLU(), nn.MaxPool2d(2),
            *conv_bn(16, 32), nn.ReLU(),
            *conv_bn(32, 32), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(32 * 2 * 2, 48), nn.ReLU(), nn.Linear(48, 10))

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)  # (n, 32, 2, 2)
        logits: Tensor = self.head(features.flatten(1))  # (n, 10)
        return logits


class Residual(nn.Module):
    """`relu(conv(relu(conv(x))) + shortcut(x))`; the shortcut is a 1x1 convolution or nothing."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *conv_bn(inputs, outputs, stride=stride), nn.ReLU(), *conv_bn(outputs, outputs)
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Sequential(
            *([] if same else conv_bn(inputs, outputs, kernel=1, stride=stride))
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.branch(x) + self.shortcut(x))


class ResNet(nn.Module):
    """A stem, three residual blocks, global average pooling and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *conv_bn(1, 16), nn.ReLU(),
            Residual(16, 16, stride=1),
            Residual(16, 24, stride=2),
            Residual(24, 32, stride=2),
        )  # fmt: skip
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)  # (n, 32, 2, 2)
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)  # (n, 32)
        logits: Tensor = self.head(pooled)  # (n, 10)
        return logits


class Depthwise(nn.Module):
    """A stem and four depthwise separable blocks with ReLU6, as in MobileNet."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *conv_bn(1, 16), nn.ReLU6(),
            *separable(16, 32, stride=1),
            *separable(32, 48, stride=2),
            *separable(48, 64, stride=1),
            *separable(64, 64, stride=2),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)  # (n, 64, 2, 2)
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)  # (n, 64)
        logits: Tensor = self.head(pooled)  # (n, 10)
        return logits


class Attention(nn.Module):
    """Multi-head self attention from four linear layers, a softmax and two products."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.depth = width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """(n, tokens, width) -> (n, heads, tokens, depth)"""
        return x.reshape(-1, 8, self.heads, self.depth).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        query = self.split(self.query(x))
        key = self.split(self.key(x))
        value = self.split(self.value(x))
        scores = query @ key.transpose(2, 3) * self.depth**-0.5  # (n, heads, tokens, tokens)
        mixed = scores.softmax(-1) @ value  # (n, heads, tokens, depth)
        joined = mixed.transpose(1, 2).reshape(-1, 8, self.heads * self.depth)
        output: Tensor = self.out(joined)  # (n, tokens, width)
        return output


class Block(nn.Module):
    """A pre-norm transformer block: attention, then a two-layer perceptron, each added to x."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        output: Tensor = x + self.mlp(self.norm2(x))
        return output


class Transformer(nn.Module):
    """The image as 8 tokens of 8 pixels (its rows), learned positions, two blocks, mean pooling."""

    def __init__(self, width: int = 48, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, 8, width))
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.reshape(-1, 8, 8)) + self.position  # (n, tokens, width)
        pooled = self.norm(self.blocks(tokens)).mean(1)  # (n, width)
        logits: Tensor = self.head(pooled)  # (n, 10)
        return logits


class Autoencoder(nn.Module):
    """64 pixels to 32 numbers with convolutions, and back with transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 8, 3, stride=2, padding=1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)  # (n, 8, 2, 2)
        image: Tensor = self.decoder(code)  # (n, 1, 8, 8)
        return image


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution without bias and its BatchNorm."""
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(outputs)]


def separable(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Return a 3x3 convolution of each channel alone and a 1x1 convolution across channels."""
    depthwise = conv_bn(inputs, inputs, stride=stride, groups=inputs)
    return [*depthwise, nn.ReLU6(), *conv_bn(inputs, outputs, kernel=1), nn.ReLU6()]
