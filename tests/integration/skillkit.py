"""Archives of skills, and the form in which they are uploaded."""

import io
import zipfile

PAGE = "---\nname: {name}\ndescription: {description}\n---\n\n# What to do\n"


def page(name="pdf-tools", description="Reads and writes PDF files."):
    return PAGE.format(name=name, description=description)


def archive(files=None, method=zipfile.ZIP_DEFLATED, stream=False):
    """A zip of {name: text}; stream: sizes stand behind the data, as from a pipe."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return not stream

        def tell(self):
            if stream:
                raise OSError
            return super().tell()

    file = Pipe()
    with zipfile.ZipFile(file, "w", method) as zip_file:
        for name, text in (files or {"SKILL.md": page()}).items():
            zip_file.writestr(name, text)
    return file.getvalue()


def form(data, filename="skill.zip", name="file"):
    """Headers and body of a multipart form with that file."""
    body = (f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n").encode() + data + b"\r\n--b--\r\n"
    return {"headers": {"Content-Type": "multipart/form-data; boundary=b"}, "body": body}


def upload(hub, data, path="/artifacts/skills", **kwargs):
    return hub.api("POST", path, **form(data, **kwargs))
