"""A text that is cut in the middle, so that both of its ends can be read."""


def shortened(text: str, width: int) -> str:
    """Leave out the middle of a text that is longer than `width` characters.

    Example:
        >>> shortened("layer1.0.conv1.weight", 12)
        'layer..eight'
    """
    if len(text) <= width:
        return text
    head = (width - 2) // 2
    return text[:head] + ".." + text[len(text) - (width - 2 - head) :]
