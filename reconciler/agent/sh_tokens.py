"""The tokens of a boot script, one after another, and what a reader of its grammar asks of them. Pure."""

from .sh_words import BrokenError, Scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .sh_words import Token

_SHOWN = 60
_REDIRECTIONS = ("<", ">", ">>", "<<", "<<-", "<&", ">&", "<>", ">|")


class Tokens(object):
    """`next` is the token that is next, once `begin` was called."""

    def __init__(self, script):
        # type: (str) -> None
        self.scanner = Scanner(script)

    def begin(self):
        # type: () -> None
        """Find the first token. Raises BrokenError."""
        self.next = self.scanner.token()

    def advance(self):
        # type: () -> Token
        """The token that is next, taken."""
        taken = self.next
        self.next = self.scanner.token()
        return taken

    def at(self, *operators):
        # type: (*str) -> bool
        """Whether one of these operators is next."""
        return self.next.kind == "operator" and self.next.text in operators

    def at_redirection(self):
        # type: () -> bool
        """Whether a redirection is next."""
        return self.at(*_REDIRECTIONS)

    def redirection(self):
        # type: () -> None
        """Take a redirection. Raises BrokenError."""
        operator = self.advance().text
        if self.next.kind != "word":
            raise self.unexpected()
        if operator in ("<<", "<<-"):
            delimiter = self.next.plain
            self.scanner.expect_document(self.next.text if delimiter is None else delimiter, operator == "<<-")
        self.advance()

    def skip_newlines(self):
        # type: () -> None
        """Take the newlines that are next."""
        while self.next.kind == "newline":
            self.advance()

    def expect(self, text):
        # type: (str) -> None
        """Take this word or operator. Raises BrokenError."""
        if self.next.text != text:
            raise self.unexpected()
        self.advance()

    def expect_word(self):
        # type: () -> None
        """Take a word. Raises BrokenError."""
        if self.next.kind != "word":
            raise self.unexpected()
        self.advance()

    def unexpected(self):
        # type: () -> BrokenError
        """The error that the next token is."""
        names = {"end": "the script ends in the middle of a command", "newline": "the line ends too early"}
        message = names.get(self.next.kind, '"%s" is not expected there' % self.next.text[:_SHOWN])
        return BrokenError(self.next.line, message)
