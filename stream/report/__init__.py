"""The page about an explained film."""
