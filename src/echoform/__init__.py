"""echoform: images from the measurements of any known linear sensor, radar first."""

__version__ = "0.1.0"
