"""Who may do what, where several people share one server: projects, roles, and the list of what was
done. Without `LIGHTBOX_PROJECTS` there is one workspace, and who opens it may do everything.
"""
