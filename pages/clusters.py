import streamlit as st

st.write('clusters')
